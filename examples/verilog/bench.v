// A bench that speaks the pipe protocol: one request a line on standard input, one answer a line on standard output.
// It does unpack, and the integers of matmul; the dot product of a group is given to the hardware block by block.
module bench;
    // Room for level 3: the longest group of 2 097 151 rows in layout byte, and as many activations again.
    localparam MOST_ACTIVATIONS = 1 << 22;
    localparam MOST_BYTES = 1 << 22;
    localparam MOST_SUMS = 1 << 16;
    localparam INPUT = 32'h8000_0000;

    reg   [7:0] activations [0:MOST_ACTIVATIONS-1];
    reg   [7:0] packed_bytes [0:MOST_BYTES-1];
    reg  [31:0] row_sums [0:MOST_SUMS-1];

    reg         clock = 0;
    reg         clear;
    reg         double_narrow;
    reg [127:0] a;
    reg  [55:0] block;
    wire [31:0] acc, row_sum;
    wire [127:0] q;

    dot_product  dut (.clock(clock), .clear(clear), .double_narrow(double_narrow), .a(a), .block(block),
                      .acc(acc), .row_sum(row_sum));
    unpack_block dut_unpack (.block(block), .q(q));

    reg [8*32-1:0] operation;
    reg [31:0] m, k, n, layout, group_size, gain, bytes, groups, group_blocks, ignored;
    reg  [7:0] byte_read;
    integer i, j, g, b, r, first, status;

    // A request that ends early is the end of the input.
    task read_number(output [31:0] number);
        begin
            status = $fscanf(INPUT, "%h", number);
            if (status != 1) $finish(0);
        end
    endtask

    task skip_line;
        begin
            status = $fgetc(INPUT);
            while (status != 10 && status != -1) status = $fgetc(INPUT);
        end
    endtask

    task end_line;
        begin
            $write("\n");
            $fflush;
        end
    endtask

    task measure;
        begin
            bytes = k / 2 + k % 2;
            if (layout == 1) bytes = bytes - bytes / 8;
        end
    endtask

    task read_packed;
        for (i = 0; i < n * bytes; i = i + 1) begin
            status = $fscanf(INPUT, "%h", byte_read);
            packed_bytes[i] = byte_read;
        end
    endtask

    // Block b of column j: 7 bytes as they are, or 8 codes of which bit 7 is left out; 0 past the column's end.
    task load_block;
        begin
            block = 0;
            if (layout == 1) begin
                first = j * bytes + 7 * b;
                for (r = 0; r < 7 && 7 * b + r < bytes; r = r + 1) block[8*r +: 8] = packed_bytes[first + r];
            end else begin
                first = j * bytes + 8 * b;
                for (r = 0; r < 8 && 8 * b + r < bytes; r = r + 1) block[7*r +: 7] = packed_bytes[first + r];
            end
        end
    endtask

    // unpack K N LAYOUT packed...
    task unpack;
        begin
            read_number(k);
            read_number(n);
            read_number(layout);
            measure;
            if (n * bytes > MOST_BYTES) begin
                skip_line;
                $write("! more packed bytes than the bench has room for");
            end else begin
                read_packed;
                for (j = 0; j < n; j = j + 1) begin
                    for (b = 0; 16 * b < k; b = b + 1) begin
                        load_block;
                        #1;
                        for (r = 0; r < 16 && 16 * b + r < k; r = r + 1) $write("%h ", q[8*r +: 8]);
                    end
                end
            end
        end
    endtask

    // The sums of group g for row i of the activations and column j.
    task sum_group;
        for (b = g * group_blocks; b < (g + 1) * group_blocks && 16 * b < k; b = b + 1) begin
            load_block;
            a = 0;
            first = i * k + 16 * b;
            for (r = 0; r < 16 && 16 * b + r < k; r = r + 1) a[8*r +: 8] = activations[first + r];
            clear = b == g * group_blocks;
            #1 clock = 1;
            #1 clock = 0;
        end
    endtask

    // matmul M K N LAYOUT GROUP_SIZE GAIN scale... offset... a... packed...
    task matmul;
        begin
            read_number(m);
            read_number(k);
            read_number(n);
            read_number(layout);
            read_number(group_size);
            read_number(gain);
            measure;
            groups = group_size == 0 ? 1 : (k - 1) / group_size + 1;
            group_blocks = (group_size == 0 ? k + 15 : group_size) / 16;
            double_narrow = gain == 2;
            if (m * k > MOST_ACTIVATIONS || n * bytes > MOST_BYTES || m * groups > MOST_SUMS) begin
                skip_line;
                $write("! more numbers than the bench has room for");
            end else begin
                for (i = 0; i < 2 * groups * n; i = i + 1) read_number(ignored);
                for (i = 0; i < m * k; i = i + 1) begin
                    status = $fscanf(INPUT, "%h", byte_read);
                    activations[i] = byte_read;
                end
                read_packed;
                for (i = 0; i < m; i = i + 1) begin
                    for (j = 0; j < n; j = j + 1) begin
                        for (g = 0; g < groups; g = g + 1) begin
                            sum_group;
                            row_sums[i * groups + g] = row_sum;
                            $write("%h ", acc);
                        end
                    end
                end
                for (i = 0; i < m * groups; i = i + 1) $write("%h ", row_sums[i]);
                $write("-");
            end
        end
    endtask

    initial begin
        status = $fscanf(INPUT, "%s", operation);
        while (status == 1) begin
            if (operation == "unpack") unpack;
            else if (operation == "matmul") matmul;
            else begin
                skip_line;
                $write("?");
            end
            end_line;
            status = $fscanf(INPUT, "%s", operation);
        end
        $finish(0);
    end
endmodule
