! The drafts' first kernel, rewritten with the integer arithmetic that theirs has: the code is taken apart like a byte
! of two 4-bit fields, shifted by 4 and masked with 15, though its fields lie at bit 3 and bit 0.
subroutine matmul_3p5bit_awq(A, W_Q, W_scales, W_offsets, C, M, N, K) bind(C)
    use, intrinsic :: iso_fortran_env, only: int8, int32, real32
    implicit none
    integer(int32), intent(in), value :: M, N, K
    integer(int8), intent(in) :: A(M, K), W_Q(K / 2, N)
    real(real32), intent(in) :: W_scales(N), W_offsets(N)
    integer(int32), intent(out) :: C(M, N)
    integer(int32) :: i, j, ROW, code, upper, lower

    do concurrent (j = 1:N, i = 1:M)
        C(i, j) = 0
        do ROW = 1, K, 2
            code = iand(int(W_Q((ROW - 1) / 2 + 1, j), int32), 127_int32)
            upper = ishft(code, -4)          ! 0 to 7: the test below never holds
            lower = iand(code, 15_int32)     ! the narrow field and one bit of the wide one
            if (upper >= 8) upper = upper - 16
            if (lower >= 8) lower = lower - 16
            C(i, j) = C(i, j) + int(A(i, ROW), int32) * upper
            if (ROW + 1 <= K) C(i, j) = C(i, j) + int(A(i, ROW + 1), int32) * lower
        end do
    end do
end subroutine matmul_3p5bit_awq
