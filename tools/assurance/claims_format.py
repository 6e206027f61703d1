"""Claims on lanes, codes and columns."""

from typing import Final

from tools.assurance.claim import BY_DEFINITION, NOT_EXECUTABLE, REFUSAL, Claim

LANES: Final = (
    Claim(
        "Even rows hold four bits, -8 to 7, and odd rows three, -4 to 3.",
        ("inLane_even", "inLane_odd"),
        ("contracts.lanes.lanes_alternate", "reference.lanes.lane_interval"),
        ("test_lanes::test_even_rows_hold_four_bits_and_odd_rows_three",),
    ),
    Claim(
        "Only odd rows have a gain.",
        BY_DEFINITION,
        ("contracts.lanes.only_narrow_rows_have_a_gain", "reference.lanes.lane_gain"),
        ("test_lanes::test_only_the_narrow_lane_has_the_gain",),
    ),
    Claim(
        "A column's groups are runs of rows that leave none out and share none; only the last may be short.",
        ("groupRows_partition", "groupRange_mem_iff", "groupRange_begin", "groupRange_consecutive"),
        (
            "contracts.lanes.groups_partition_the_rows",
            "contracts.lanes.groups_have_their_size",
            "contracts.lanes.group_count_counts_the_groups",
            "reference.lanes.group_count",
            "reference.lanes.group_length",
        ),
        ("test_lanes::test_groups_are_consecutive_rows_and_only_the_last_may_be_short",),
    ),
    Claim(
        "A group's codes begin on a byte in the dense layout, too: its bytes are those of its rows packed alone.",
        ("packColumn_append", "packDense_append"),
        ("contracts.lanes.groups_begin_on_a_byte",),
        ("test_claims::test_a_groups_bytes_are_cut_out_of_its_column_and_read_alone",),
    ),
)
"""Claims on lanes and groups."""

CODEC: Final = (
    Claim(
        "Packing a pair of integers and unpacking the code gives the pair back.",
        ("unpackPair_packPair",),
        ("contracts.codec.unpack_pair_inverts_pack_pair", "reference.codec.pack_pair"),
        ("test_codec::test_all_pairs_have_codes_of_their_own_and_come_back",),
        exhausted=True,
    ),
    Claim(
        "Unpacking a code and packing its integers gives the code back: pairs and codes correspond one to one.",
        ("packPair_unpackPair", "packPair_injective", "packPair_surjective"),
        (
            "contracts.codec.pack_pair_inverts_unpack_pair",
            "contracts.codec.different_pairs_have_different_codes",
            "reference.codec.unpack_pair",
        ),
        ("test_codec::test_all_pairs_have_codes_of_their_own_and_come_back",),
        exhausted=True,
    ),
    Claim(
        "A field is read as two's complement, for any number of bits from one on.",
        ("signExtend_eq_toInt",),
        (
            "contracts.codec.sign_extension_of_four_bits_is_twos_complement",
            "contracts.codec.sign_extension_of_three_bits_is_twos_complement",
            "reference.codec.sign_extend",
        ),
        ("test_codec::test_sign_extension_is_two_s_complement",),
    ),
    Claim(
        "No code of fewer than seven bits tells all pairs apart.",
        ("no_shorter_code", "seven_bits_needed"),
        NOT_EXECUTABLE,
        NOT_EXECUTABLE,
    ),
    Claim(
        "The pair (5, -2) has the code 46.",
        ("packPair_five_neg_two",),
        ("reference.codec.pack_pair",),
        ("test_codec::test_the_design_s_example",),
    ),
)
"""Claims on codes."""

COLUMNS: Final = (
    Claim(
        "A dense stream gives back the codes it was made of, however many there are.",
        ("unpackDense_packDense",),
        ("contracts.columns.unpack_dense_inverts_pack_dense",),
        ("test_codec::test_dense_streams_come_back",),
    ),
    Claim(
        "Exactly the streams that packing writes are accepted: a set padding bit is refused.",
        ("unpackDense_isSome_iff", "unpackDense_isSome_iff_padding", "packDense_unpackDense"),
        (
            "contracts.columns.pack_dense_inverts_unpack_dense",
            "contracts.columns.a_set_padding_bit_is_refused",
            "reference.codec.unpack_dense",
        ),
        (
            "test_codec::test_exactly_the_streams_that_pack_dense_writes_are_accepted",
            "test_codec::test_each_padding_bit_that_is_set_is_refused",
        ),
    ),
    Claim(
        "n codes take ceil(7n/8) bytes; 8 codes take 7.",
        ("packDense_length", "denseBytes_eq", "packDense_eight"),
        ("reference.codec.dense_bytes", "reference.codec.pack_dense"),
        (
            "test_codec::test_a_dense_stream_is_a_number_in_base_128_written_in_base_256",
            "test_codec::test_eight_codes_fill_seven_bytes",
        ),
    ),
    Claim(
        "Code i holds the stream bits 7i to 7i + 6; bit b is bit b mod 8 of byte b div 8; padding bits are clear.",
        ("packDense_testBit", "packDense_padding"),
        ("contracts.columns.unpack_dense_inverts_pack_dense",),
        ("test_codec::test_code_i_holds_stream_bits_7i_to_7i_plus_6",),
    ),
    Claim(
        "A packed column gives back its integers, in either layout and of any length.",
        ("unpackColumn_packColumn",),
        (
            "contracts.columns.a_byte_column_comes_back",
            "contracts.columns.a_dense_column_is_the_stream_of_its_byte_column",
            "contracts.columns.a_dense_stream_is_read_like_the_byte_column_of_its_codes",
            "contracts.columns.a_column_of_many_blocks_comes_back",
        ),
        ("test_codec::test_columns_come_back_in_both_layouts",),
    ),
    Claim(
        "Packed bytes of an even number of rows, if they are accepted, are those that their integers are packed to.",
        ("packColumn_unpackColumn",),
        ("contracts.columns.bytes_of_a_column_come_back", "reference.codec.pair_count"),
        ("test_claims::test_accepted_bytes_of_an_even_number_of_rows_come_back",),
    ),
    Claim(
        "For an odd number of rows the last narrow field is written as zero, and ignored when it is read.",
        ("pairCodes_last_narrow", "unpackColumn_ignores_last_narrow", "unpackColumn_dense_ignores_last_narrow"),
        ("contracts.codec.an_odd_column_ignores_its_last_narrow_field",),
        ("test_codec::test_for_odd_k_the_last_narrow_field_is_written_as_zero_and_ignored",),
    ),
    Claim(
        "In the byte layout a byte with bit 7 set is no code and is refused.",
        REFUSAL,
        ("contracts.columns.a_code_of_eight_bits_is_refused",),
        ("test_codec::test_a_byte_with_bit_7_set_is_refused",),
    ),
    Claim(
        "An integer outside its lane is refused and never wraps.",
        REFUSAL,
        REFUSAL,
        (
            "test_codec::test_an_integer_outside_its_lane_is_refused_and_never_wraps",
            "test_codec::test_a_column_with_an_integer_outside_its_lane_is_refused",
        ),
    ),
)
"""Claims on columns."""
