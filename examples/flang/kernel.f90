! A correct kernel with the drafts' signature (ABI `groq-mvp`): integer sums only, layout byte, even K, gain 1.
! Its C name is matmul_3p5bit_awq. Scales and offsets are passed and not read. The loop over codes is named p, since
! names have no case in Fortran: a local k beside the argument K is an error.
subroutine matmul_3p5bit_awq(A, W_Q, W_scales, W_offsets, C, M, N, K) bind(C)
    use, intrinsic :: iso_c_binding, only: c_float, c_int8_t, c_int32_t
    implicit none
    integer(c_int32_t), intent(in), value :: M, N, K
    integer(c_int8_t), intent(in) :: A(M, K), W_Q(K / 2, N)
    real(c_float), intent(in) :: W_scales(N), W_offsets(N)
    integer(c_int32_t), intent(out) :: C(M, N)
    integer(c_int32_t) :: i, j, p, code, wide, narrow

    do j = 1, N
        do i = 1, M
            C(i, j) = 0
        end do
        do p = 1, K / 2
            code = W_Q(p, j)
            wide = ieor(iand(ishft(code, -3), 15), 8) - 8
            narrow = ieor(iand(code, 7), 4) - 4
            do i = 1, M
                C(i, j) = C(i, j) + wide * A(i, 2 * p - 1) + narrow * A(i, 2 * p)
            end do
        end do
    end do
end subroutine matmul_3p5bit_awq
