"""Laws of pairs and codes; those of whole columns stand in ``columns``."""

from q35ref.reference import codec


def sign_extension_of_four_bits_is_twos_complement(field: int) -> None:
    """Bit 3 weighs -8, the others 4, 2 and 1.

    pre: 0 <= field < 16
    post: True
    """
    assert codec.sign_extend(field, 4) == field % 8 - 8 * (field // 8)


def sign_extension_of_three_bits_is_twos_complement(field: int) -> None:
    """Bit 2 weighs -4, the others 2 and 1.

    pre: 0 <= field < 8
    post: True
    """
    assert codec.sign_extend(field, 3) == field % 4 - 4 * (field // 4)


def unpack_pair_inverts_pack_pair(wide: int, narrow: int) -> None:
    """Every pair comes back from its code.

    pre: -8 <= wide <= 7
    pre: -4 <= narrow <= 3
    post: True
    """
    assert codec.unpack_pair(codec.pack_pair(wide, narrow)) == (wide, narrow)


def pack_pair_inverts_unpack_pair(code: int) -> None:
    """Every code comes back from its pair: each of the 128 means a pair of its own.

    pre: 0 <= code < 128
    post: True
    """
    wide, narrow = codec.unpack_pair(code)
    assert codec.pack_pair(wide, narrow) == code


def different_pairs_have_different_codes(wide: int, narrow: int, other_wide: int, other_narrow: int) -> None:
    """``pack_pair`` is injective.

    pre: -8 <= wide <= 7
    pre: -4 <= narrow <= 3
    pre: -8 <= other_wide <= 7
    pre: -4 <= other_narrow <= 3
    post: True
    """
    same = codec.pack_pair(wide, narrow) == codec.pack_pair(other_wide, other_narrow)
    assert same == ((wide, narrow) == (other_wide, other_narrow))


def an_odd_column_ignores_its_last_narrow_field(code: int) -> None:
    """A column of one row is the wide integer of its code; packed again, its narrow field is 0.

    pre: 0 <= code < 128
    post: True
    """
    wide = codec.unpack_pair(code)[0]
    assert codec.unpair_codes([code], 1) == [wide]
    assert codec.pair_codes([wide]) == [code - code % 8]
