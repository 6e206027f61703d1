// Hardware for the 3.5-bit format: one pair code, a block of 16 weights in 7 bytes, and an int8 dot product over it.

// The two integers of a pair code, sign-extended to bytes.
module unpack_pair (
    input  wire        [6:0] code,
    output wire signed [7:0] wide,
    output wire signed [7:0] narrow
);
    assign wide   = {{4{code[6]}}, code[6:3]};
    assign narrow = {{5{code[2]}}, code[2:0]};
endmodule

// The 16 integers of a dense block. Its 7 bytes are one little-endian number; row r is byte r of the result.
module unpack_block (
    input  wire  [55:0] block,
    output wire [127:0] q
);
    genvar i;
    generate
        for (i = 0; i < 8; i = i + 1) begin : codes
            unpack_pair pair (.code(block[7*i +: 7]), .wide(q[16*i +: 8]), .narrow(q[16*i+8 +: 8]));
        end
    endgenerate
endmodule

// One block of a dot product a clock: acc sums gain * activation * integer, row_sum the activations. The gain, 1 or 2,
// belongs to the odd rows; 2 is a shift. A row that is not there has activation 0. `clear` begins a new group.
module dot_product (
    input  wire               clock,
    input  wire               clear,
    input  wire               double_narrow,
    input  wire       [127:0] a,
    input  wire        [55:0] block,
    output reg  signed [31:0] acc,
    output reg  signed [31:0] row_sum
);
    wire       [127:0] q;
    reg signed  [31:0] products;
    reg signed  [31:0] activations;
    reg signed  [15:0] product;
    integer r;

    unpack_block unpack (.block(block), .q(q));

    always @* begin
        products = 0;
        activations = 0;
        for (r = 0; r < 16; r = r + 1) begin
            product = $signed(a[8*r +: 8]) * $signed(q[8*r +: 8]);
            products = products + ((r % 2 == 1 && double_narrow) ? product <<< 1 : product);
            activations = activations + $signed(a[8*r +: 8]);
        end
    end

    always @(posedge clock) begin
        acc     <= (clear ? 0 : acc) + products;
        row_sum <= (clear ? 0 : row_sum) + activations;
    end
endmodule
