// Unpack and matmul of the 3.5-bit format, on blocks of 16 rows. A block's eight codes are one little-endian word of
// 64 bits; a code takes `bits` of it: 7 in layout dense, 8 in layout byte. M rows of activations, N columns, G groups,
// B blocks a group. Rows that are not there have activation 0.

// The integers of each word, wide and narrow in turn.
func.func private @integers(%words: tensor<?x?x?xi64>, %bits: i64) -> tensor<?x?x?x16xi8> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %two = arith.constant 2 : index
  %n = tensor.dim %words, %zero : tensor<?x?x?xi64>
  %g = tensor.dim %words, %one : tensor<?x?x?xi64>
  %b = tensor.dim %words, %two : tensor<?x?x?xi64>
  %space = tensor.empty(%n, %g, %b) : tensor<?x?x?x16xi8>
  %q = linalg.generic {
    indexing_maps = [affine_map<(n, g, b, r) -> (n, g, b)>, affine_map<(n, g, b, r) -> (n, g, b, r)>],
    iterator_types = ["parallel", "parallel", "parallel", "parallel"]
  } ins(%words : tensor<?x?x?xi64>) outs(%space : tensor<?x?x?x16xi8>) {
  ^bb0(%word: i64, %old: i8):
    %c1 = arith.constant 1 : i64
    %c2 = arith.constant 2 : i64
    %c3 = arith.constant 3 : i64
    %c4 = arith.constant 4 : i64
    %c7 = arith.constant 7 : i64
    %c8 = arith.constant 8 : i64
    %c15 = arith.constant 15 : i64
    %row = linalg.index 3 : index
    %r = arith.index_cast %row : index to i64
    %pair = arith.divui %r, %c2 : i64
    %lane = arith.andi %r, %c1 : i64
    %shift = arith.muli %pair, %bits : i64
    %code = arith.shrui %word, %shift : i64
    %upper = arith.shrui %code, %c3 : i64
    %wide_field = arith.andi %upper, %c15 : i64
    %wide_flipped = arith.xori %wide_field, %c8 : i64
    %wide = arith.subi %wide_flipped, %c8 : i64
    %narrow_field = arith.andi %code, %c7 : i64
    %narrow_flipped = arith.xori %narrow_field, %c4 : i64
    %narrow = arith.subi %narrow_flipped, %c4 : i64
    %odd = arith.cmpi eq, %lane, %c1 : i64
    %integer = arith.select %odd, %narrow, %wide : i64
    %byte = arith.trunci %integer : i64 to i8
    linalg.yield %byte : i8
  } -> tensor<?x?x?x16xi8>
  return %q : tensor<?x?x?x16xi8>
}

func.func @unpack(%words: tensor<?x?x?xi64>, %bits: i64) -> tensor<?x?x?x16xi8> {
  %q = call @integers(%words, %bits) : (tensor<?x?x?xi64>, i64) -> tensor<?x?x?x16xi8>
  return %q : tensor<?x?x?x16xi8>
}

// acc[m, n, g] = sum of gain * a * q, row_sum[m, g] = sum of a.
func.func @matmul(%a: tensor<?x?x?x16xi8>, %words: tensor<?x?x?xi64>, %bits: i64, %gain: i32)
    -> (tensor<?x?x?xi32>, tensor<?x?xi32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %nothing = arith.constant 0 : i32
  %m = tensor.dim %a, %zero : tensor<?x?x?x16xi8>
  %g = tensor.dim %a, %one : tensor<?x?x?x16xi8>
  %n = tensor.dim %words, %zero : tensor<?x?x?xi64>
  %q = call @integers(%words, %bits) : (tensor<?x?x?xi64>, i64) -> tensor<?x?x?x16xi8>

  %acc_space = tensor.empty(%m, %n, %g) : tensor<?x?x?xi32>
  %acc_zero = linalg.fill ins(%nothing : i32) outs(%acc_space : tensor<?x?x?xi32>) -> tensor<?x?x?xi32>
  %acc = linalg.generic {
    indexing_maps = [affine_map<(m, n, g, b, r) -> (m, g, b, r)>, affine_map<(m, n, g, b, r) -> (n, g, b, r)>,
                     affine_map<(m, n, g, b, r) -> (m, n, g)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]
  } ins(%a, %q : tensor<?x?x?x16xi8>, tensor<?x?x?x16xi8>) outs(%acc_zero : tensor<?x?x?xi32>) {
  ^bb0(%activation: i8, %integer: i8, %sum: i32):
    %c1 = arith.constant 1 : index
    %row = linalg.index 4 : index
    %lane = arith.andi %row, %c1 : index
    %odd = arith.cmpi eq, %lane, %c1 : index
    %unit = arith.constant 1 : i32
    %factor = arith.select %odd, %gain, %unit : i32
    %x = arith.extsi %activation : i8 to i32
    %y = arith.extsi %integer : i8 to i32
    %product = arith.muli %x, %y : i32
    %scaled = arith.muli %product, %factor : i32
    %next = arith.addi %sum, %scaled : i32
    linalg.yield %next : i32
  } -> tensor<?x?x?xi32>

  %row_space = tensor.empty(%m, %g) : tensor<?x?xi32>
  %row_zero = linalg.fill ins(%nothing : i32) outs(%row_space : tensor<?x?xi32>) -> tensor<?x?xi32>
  %row_sum = linalg.generic {
    indexing_maps = [affine_map<(m, g, b, r) -> (m, g, b, r)>, affine_map<(m, g, b, r) -> (m, g)>],
    iterator_types = ["parallel", "parallel", "reduction", "reduction"]
  } ins(%a : tensor<?x?x?x16xi8>) outs(%row_zero : tensor<?x?xi32>) {
  ^bb0(%activation: i8, %sum: i32):
    %x = arith.extsi %activation : i8 to i32
    %next = arith.addi %sum, %x : i32
    linalg.yield %next : i32
  } -> tensor<?x?xi32>
  return %acc, %row_sum : tensor<?x?x?xi32>, tensor<?x?xi32>
}

// out[m, n] = sum of scale * acc + offset * row_sum. IREE's runtime computes with subnormal numbers flushed to zero;
// as float64, no float32 is subnormal.
func.func @output_f64(%acc: tensor<?x?x?xi32>, %row_sum: tensor<?x?xi32>, %scale: tensor<?x?xf64>,
                      %offset: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %nought = arith.constant 0.0 : f64
  %m = tensor.dim %acc, %zero : tensor<?x?x?xi32>
  %n = tensor.dim %acc, %one : tensor<?x?x?xi32>
  %out_space = tensor.empty(%m, %n) : tensor<?x?xf64>
  %out_zero = linalg.fill ins(%nought : f64) outs(%out_space : tensor<?x?xf64>) -> tensor<?x?xf64>
  %out = linalg.generic {
    indexing_maps = [affine_map<(m, n, g) -> (m, n, g)>, affine_map<(m, n, g) -> (m, g)>,
                     affine_map<(m, n, g) -> (g, n)>, affine_map<(m, n, g) -> (g, n)>,
                     affine_map<(m, n, g) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  } ins(%acc, %row_sum, %scale, %offset : tensor<?x?x?xi32>, tensor<?x?xi32>, tensor<?x?xf64>, tensor<?x?xf64>)
    outs(%out_zero : tensor<?x?xf64>) {
  ^bb0(%sum: i32, %activations: i32, %s: f64, %o: f64, %total: f64):
    %sum_float = arith.sitofp %sum : i32 to f64
    %activations_float = arith.sitofp %activations : i32 to f64
    %scaled = arith.mulf %s, %sum_float : f64
    %shift = arith.mulf %o, %activations_float : f64
    %term = arith.addf %scaled, %shift : f64
    %next = arith.addf %total, %term : f64
    linalg.yield %next : f64
  } -> tensor<?x?xf64>
  return %out : tensor<?x?xf64>
}

// The same in float32, where a subnormal scale, offset or result is taken for zero.
func.func @output_f32(%acc: tensor<?x?x?xi32>, %row_sum: tensor<?x?xi32>, %scale: tensor<?x?xf32>,
                      %offset: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %nought = arith.constant 0.0 : f32
  %m = tensor.dim %acc, %zero : tensor<?x?x?xi32>
  %n = tensor.dim %acc, %one : tensor<?x?x?xi32>
  %out_space = tensor.empty(%m, %n) : tensor<?x?xf32>
  %out_zero = linalg.fill ins(%nought : f32) outs(%out_space : tensor<?x?xf32>) -> tensor<?x?xf32>
  %out = linalg.generic {
    indexing_maps = [affine_map<(m, n, g) -> (m, n, g)>, affine_map<(m, n, g) -> (m, g)>,
                     affine_map<(m, n, g) -> (g, n)>, affine_map<(m, n, g) -> (g, n)>,
                     affine_map<(m, n, g) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  } ins(%acc, %row_sum, %scale, %offset : tensor<?x?x?xi32>, tensor<?x?xi32>, tensor<?x?xf32>, tensor<?x?xf32>)
    outs(%out_zero : tensor<?x?xf32>) {
  ^bb0(%sum: i32, %activations: i32, %s: f32, %o: f32, %total: f32):
    %sum_float = arith.sitofp %sum : i32 to f32
    %activations_float = arith.sitofp %activations : i32 to f32
    %scaled = arith.mulf %s, %sum_float : f32
    %shift = arith.mulf %o, %activations_float : f32
    %term = arith.addf %scaled, %shift : f32
    %next = arith.addf %total, %term : f32
    linalg.yield %next : f32
  } -> tensor<?x?xf32>
  return %out : tensor<?x?xf32>
}
