// A bench that asks no oracle: it reads vectors that `q35ref vectors DIR` wrote, gives them to the hardware, and counts
// those that pass and those that fail. vvp -n vectors.vvp +vectors=DIR
module vectors;
    localparam MOST_CASES = 1 << 12;
    localparam MOST_NUMBERS = 1 << 16;
    localparam MOST_SHOWN = 5;

    // A case of unpack_dense and unpack_column: ten fields of 32 bits, the highest first, named in the file's 2nd line.
    reg [319:0] cases [0:MOST_CASES-1];
    reg  [23:0] pairs [0:MOST_CASES-1];
    reg   [7:0] in_packed [0:MOST_NUMBERS-1];
    reg   [7:0] expected_q [0:MOST_NUMBERS-1];
    reg  [31:0] m, k, n, layout, group_size, narrow_gain, method, refused, start_packed, start_q;

    reg    [6:0] code;
    wire   [7:0] wide, narrow;
    reg   [55:0] block;
    wire [127:0] q;

    unpack_pair  dut_pair (.code(code), .wide(wide), .narrow(narrow));
    unpack_block dut_block (.block(block), .q(q));

    string folder;
    integer count, ignored, i, j, b, r, at, bytes, failed, shown, wrong, all_failed = 0;

    // How many words a file has, which its first line says; the bench ends if it cannot be.
    task open_file(input string name, input integer most);
        integer file;
        begin
            count = 0;
            file = $fopen({folder, "/hex/", name}, "r");
            if (file == 0) $fatal(0, "%s/hex/%s: no such file", folder, name);
            ignored = $fscanf(file, "// %d words", count);
            if (count < 1 || count > most)
                $fatal(0, "%s/hex/%s: expected 1 to %0d words, found %0d", folder, name, most, count);
            $fclose(file);
        end
    endtask

    task summary(input string name, input integer total);
        begin
            $display("%s: %0d passed, %0d failed", name, total - failed, failed);
            all_failed = all_failed + failed;
        end
    endtask

    task compare(input string name, input integer row, input [7:0] got, input [7:0] expected);
        if (got !== expected) begin
            wrong = wrong + 1;
            shown = shown + 1;
            if (shown <= MOST_SHOWN)
                $display("%s, case %0d, column %0d, row %0d: got %h, expected %h", name, i, j, row, got, expected);
        end
    endtask

    // One word a case: code, wide, narrow.
    task check_pairs;
        begin
            open_file("unpack_pair.hex", MOST_CASES);
            $readmemh({folder, "/hex/unpack_pair.hex"}, pairs, 0, count - 1);
            failed = 0;
            shown = 0;
            j = 0;
            for (i = 0; i < count; i = i + 1) begin
                wrong = 0;
                code = pairs[i][22:16];
                #1 compare("unpack_pair", 0, wide, pairs[i][15:8]);
                compare("unpack_pair", 1, narrow, pairs[i][7:0]);
                if (wrong > 0) failed = failed + 1;
            end
            summary("unpack_pair", count);
        end
    endtask

    // Block b of column j, as the hardware takes it: 7 bytes as they are, or 8 codes of which bit 7 is left out.
    task load_block;
        begin
            block = 0;
            at = start_packed + j * bytes + (layout == 1 ? 7 : 8) * b;
            if (layout == 1) begin
                for (r = 0; r < 7 && 7 * b + r < bytes; r = r + 1) block[8*r +: 8] = in_packed[at + r];
            end else begin
                for (r = 0; r < 8 && 8 * b + r < bytes; r = r + 1) block[7*r +: 7] = in_packed[at + r];
            end
        end
    endtask

    // Whole columns: a case says its sizes, and where its numbers begin in the two other files. None is to be refused.
    task check_columns(input string name);
        integer total;
        begin
            open_file({name, ".in_packed.hex"}, MOST_NUMBERS);
            $readmemh({folder, "/hex/", name, ".in_packed.hex"}, in_packed, 0, count - 1);
            open_file({name, ".expected_q.hex"}, MOST_NUMBERS);
            $readmemh({folder, "/hex/", name, ".expected_q.hex"}, expected_q, 0, count - 1);
            open_file({name, ".cases.hex"}, MOST_CASES);
            $readmemh({folder, "/hex/", name, ".cases.hex"}, cases, 0, count - 1);
            total = count;
            failed = 0;
            shown = 0;
            for (i = 0; i < total; i = i + 1) begin
                {m, k, n, layout, group_size, narrow_gain, method, refused, start_packed, start_q} = cases[i];
                bytes = k / 2 + k % 2;
                if (layout == 1) bytes = bytes - bytes / 8;
                wrong = 0;
                for (j = 0; j < n; j = j + 1) begin
                    for (b = 0; 16 * b < k; b = b + 1) begin
                        load_block;
                        #1;
                        for (r = 0; r < 16 && 16 * b + r < k; r = r + 1)
                            compare(name, 16 * b + r, q[8*r +: 8], expected_q[start_q + j * k + 16 * b + r]);
                    end
                end
                if (wrong > 0) failed = failed + 1;
            end
            summary(name, total);
        end
    endtask

    initial begin
        if (!$value$plusargs("vectors=%s", folder)) folder = "vectors";
        check_pairs;
        check_columns("unpack_column");
        check_columns("unpack_dense");
        if (all_failed > 0) $fatal(0, "%0d vectors failed", all_failed);
        $finish(0);
    end
endmodule
