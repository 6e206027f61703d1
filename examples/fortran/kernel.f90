! A plain Fortran kernel with two functions of the C ABI `q35`: unpack and matmul, in both layouts.
!
! Fortran's arrays are column-major, so that every array has its dimensions the other way round than in C:
! q(k, n), packed(column_bytes, n), a(k, m), scale(n, groups), acc(groups, n, m), row_sum(groups, m), out(n, m).
! Rows are counted from 0, as the format does: row 0 is in the wide lane.
module q35_kernel
    use, intrinsic :: iso_c_binding, only: c_float, c_int, c_int8_t, c_int32_t, c_int64_t
    implicit none
    private
    public :: q35_unpack, q35_matmul

    integer(c_int32_t), parameter :: dense = 1

contains

    ! The bytes of one packed column.
    pure integer(c_int64_t) function column_bytes(k, layout)
        integer(c_int64_t), intent(in) :: k
        integer(c_int32_t), intent(in) :: layout
        integer(c_int64_t) :: codes

        codes = k / 2 + mod(k, 2_c_int64_t)
        column_bytes = codes
        if (layout == dense) column_bytes = codes - codes / 8
    end function column_bytes

    ! The groups of a column of k rows.
    pure integer(c_int64_t) function group_count(k, group_size)
        integer(c_int64_t), intent(in) :: k, group_size

        group_count = 1
        if (group_size > 0) group_count = (k - 1) / group_size + 1
    end function group_count

    ! Byte i of a column, from 0, as a number from 0 to 255: int8 is signed here, uint8 there is none.
    pure integer(c_int32_t) function byte_at(column, i)
        integer(c_int8_t), intent(in) :: column(:)
        integer(c_int64_t), intent(in) :: i

        byte_at = iand(int(column(i + 1), c_int32_t), 255_c_int32_t)
    end function byte_at

    ! Code i of a column. A code that ends in the byte in which it begins does not touch the next: there may be none.
    pure integer(c_int32_t) function code_at(column, i, layout)
        integer(c_int8_t), intent(in) :: column(:)
        integer(c_int64_t), intent(in) :: i
        integer(c_int32_t), intent(in) :: layout
        integer(c_int64_t) :: first
        integer :: shift

        if (layout == dense) then
            first = 7 * i / 8
            shift = int(mod(7 * i, 8_c_int64_t))
            code_at = shiftr(byte_at(column, first), shift)
            if (shift > 1) code_at = ior(code_at, shiftl(byte_at(column, first + 1), 8 - shift))
        else
            code_at = byte_at(column, i)
        end if
        code_at = iand(code_at, 127_c_int32_t)
    end function code_at

    ! The integer of a row: even rows lie in the upper four bits of a code, odd rows in the lower three.
    pure integer(c_int32_t) function integer_at(column, row, layout)
        integer(c_int8_t), intent(in) :: column(:)
        integer(c_int64_t), intent(in) :: row
        integer(c_int32_t), intent(in) :: layout
        integer(c_int32_t) :: code

        code = code_at(column, row / 2, layout)
        if (mod(row, 2_c_int64_t) == 0) then
            integer_at = ieor(shiftr(code, 3), 8_c_int32_t) - 8
        else
            integer_at = ieor(iand(code, 7_c_int32_t), 4_c_int32_t) - 4
        end if
    end function integer_at

    integer(c_int) function q35_unpack(packed, k, n, layout, q) result(status) bind(C)
        integer(c_int64_t), intent(in), value :: k, n
        integer(c_int32_t), intent(in), value :: layout
        integer(c_int8_t), intent(in) :: packed(column_bytes(k, layout), n)
        integer(c_int8_t), intent(out) :: q(k, n)
        integer(c_int64_t) :: j, row

        do j = 1, n
            do row = 0, k - 1
                q(row + 1, j) = int(integer_at(packed(:, j), row, layout), c_int8_t)
            end do
        end do
        status = 0
    end function q35_unpack

    ! An optional argument of a bind(C) procedure is absent where C passes NULL (Fortran 2018).
    integer(c_int) function q35_matmul(a, packed, m, k, n, layout, group_size, narrow_gain, scale, offset, &
            acc, row_sum, out) result(status) bind(C)
        integer(c_int64_t), intent(in), value :: m, k, n, group_size
        integer(c_int32_t), intent(in), value :: layout, narrow_gain
        integer(c_int8_t), intent(in) :: a(k, m), packed(column_bytes(k, layout), n)
        real(c_float), intent(in) :: scale(n, *), offset(n, *)
        integer(c_int32_t), intent(out), optional :: acc(group_count(k, group_size), n, m)
        integer(c_int32_t), intent(out), optional :: row_sum(group_count(k, group_size), m)
        real(c_float), intent(out), optional :: out(n, m)
        integer(c_int64_t) :: rows, i, j, g, row
        integer(c_int32_t) :: total, activations, term
        real(c_float) :: value

        rows = merge(group_size, k, group_size > 0)
        do i = 1, m
            do j = 1, n
                value = 0
                do g = 1, group_count(k, group_size)
                    total = 0
                    activations = 0
                    do row = (g - 1) * rows, min(g * rows, k) - 1
                        term = int(a(row + 1, i), c_int32_t) * integer_at(packed(:, j), row, layout)
                        if (mod(row, 2_c_int64_t) == 1) term = narrow_gain * term
                        total = total + term
                        activations = activations + a(row + 1, i)
                    end do
                    value = value + (scale(j, g) * real(total, c_float) + offset(j, g) * real(activations, c_float))
                    if (present(acc)) acc(g, j, i) = total
                    if (present(row_sum)) row_sum(g, i) = activations
                end do
                if (present(out)) out(j, i) = value
            end do
        end do
        status = 0
    end function q35_matmul

end module q35_kernel
