// The one loop in which a decoder spends its time: c += a times b, in AssemblyScript. `make kernel` compiles it.
//
// a has rows x depth numbers, row by row; c rows x columns, row by row. b comes in panels of eight columns: of the
// first panel all depth rows, then of the next. All are float32; columns is a multiple of eight.

// Four rows of c, eight columns wide, stay in registers while the loop goes down b.
export function multiply(a: usize, b: usize, c: usize, rows: i32, depth: i32, columns: i32): void {
  const deep = <usize>depth << 2;
  const wide = <usize>columns << 2;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let panel = b;
    for (let at: usize = 0; at < wide; at += 32) {
      const c0 = c + at, c1 = c0 + wide, c2 = c1 + wide, c3 = c2 + wide;
      let l0 = v128.load(c0), r0 = v128.load(c0, 16);
      let l1 = v128.load(c1), r1 = v128.load(c1, 16);
      let l2 = v128.load(c2), r2 = v128.load(c2, 16);
      let l3 = v128.load(c3), r3 = v128.load(c3, 16);
      for (let end = a + deep, x = a; x < end; x += 4, panel += 32) {
        const left = v128.load(panel), right = v128.load(panel, 16);
        let one = v128.load_splat<f32>(x);
        l0 = f32x4.add(l0, f32x4.mul(one, left));
        r0 = f32x4.add(r0, f32x4.mul(one, right));
        one = v128.load_splat<f32>(x + deep);
        l1 = f32x4.add(l1, f32x4.mul(one, left));
        r1 = f32x4.add(r1, f32x4.mul(one, right));
        one = v128.load_splat<f32>(x + 2 * deep);
        l2 = f32x4.add(l2, f32x4.mul(one, left));
        r2 = f32x4.add(r2, f32x4.mul(one, right));
        one = v128.load_splat<f32>(x + 3 * deep);
        l3 = f32x4.add(l3, f32x4.mul(one, left));
        r3 = f32x4.add(r3, f32x4.mul(one, right));
      }
      v128.store(c0, l0); v128.store(c0, r0, 16);
      v128.store(c1, l1); v128.store(c1, r1, 16);
      v128.store(c2, l2); v128.store(c2, r2, 16);
      v128.store(c3, l3); v128.store(c3, r3, 16);
    }
    a += 4 * deep;
    c += 4 * wide;
  }
  for (; row < rows; row++) {
    let panel = b;
    for (let at: usize = 0; at < wide; at += 32) {
      let left = v128.load(c + at), right = v128.load(c + at, 16);
      for (let end = a + deep, x = a; x < end; x += 4, panel += 32) {
        const one = v128.load_splat<f32>(x);
        left = f32x4.add(left, f32x4.mul(one, v128.load(panel)));
        right = f32x4.add(right, f32x4.mul(one, v128.load(panel, 16)));
      }
      v128.store(c + at, left);
      v128.store(c + at, right, 16);
    }
    a += deep;
    c += wide;
  }
}
