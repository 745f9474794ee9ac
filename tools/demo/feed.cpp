// The second half of a layer of halves, attention's output and the MLP, some rows at a time, so that their
// numbers stay in the cache. halves.py says what the arguments are.

#include <algorithm>

#include "products.h"

namespace {

const count SOME = 320;  // rows that stay in the cache

// silu(first half) * second half of each row.
void gate(const half* rows, half* out, count n, count width) {
  for (count i = 0; i < n; i++, rows += 2 * width, out += width)
    for (count j = 0; j < width; j += 16) {
      __mmask16 mask = first(width - j);
      __m512 x = load(rows + j, mask), y = load(rows + width + j, mask);
      save(out + j, mask, _mm512_mul_ps(_mm512_mul_ps(x, sigmoid(x)), y));
    }
}

// The same once more, and the gradients of the rows. `grad` may be `out`'s place.
void gate_back(const half* grad, const half* rows, half* out, half* of_rows, count n, count width) {
  const __m512 one = _mm512_set1_ps(1);
  for (count i = 0; i < n; i++, grad += width, rows += 2 * width, out += width, of_rows += 2 * width)
    for (count j = 0; j < width; j += 16) {
      __mmask16 mask = first(width - j);
      __m512 x = load(rows + j, mask), y = load(rows + width + j, mask), g = load(grad + j, mask);
      __m512 s = sigmoid(x), silu = _mm512_mul_ps(x, s);
      __m512 slope = _mm512_fmadd_ps(silu, _mm512_sub_ps(one, s), s);
      save(out + j, mask, _mm512_mul_ps(silu, y));
      save(of_rows + j, mask, _mm512_mul_ps(_mm512_mul_ps(g, y), slope));
      save(of_rows + width + j, mask, _mm512_mul_ps(g, silu));
    }
}

}  // namespace

extern "C" {

// rows and out [n, hidden], mixed [n, wide]; middle [n, hidden] (before the MLP) and gates [n, 2, inner] are
// kept for the gradients.
void feed(const float* rows, const half* mixed, float* out, float* middle, half* gates, const float* output,
          const float* weight, const float* gate_up, const float* down, count all, count wide, count hidden,
          count inner, float epsilon) {
  half* output_ = pack_rows(8, output, hidden, wide);
  half* gate_up_ = pack_rows(9, gate_up, 2 * inner, hidden);
  half* down_ = pack_rows(10, down, hidden, inner);
  share([&](int i) {
    half *normed = buffer(12, SOME * hidden), *gated = buffer(13, SOME * inner);
    float* scales = floats(1, SOME);
    count end = 2 * part(all / 2, i + 1);
    for (count at = 2 * part(all / 2, i), n; at < end; at += n) {
      n = std::min(SOME, end - at);
      float *middle_ = middle + at * hidden, *out_ = out + at * hidden;
      half* gates_ = gates + at * 2 * inner;
      product(mixed + at * wide, output_, Plus{middle_, rows + at * hidden, hidden}, n, wide, hidden);
      norm(middle_, weight, normed, scales, n, hidden, epsilon);
      product(normed, gate_up_, Kept{{gates_, 2 * inner, nullptr}}, n, hidden, 2 * inner);
      gate(gates_, gated, n, inner);
      product(gated, down_, Plus{out_, middle_, hidden}, n, inner, hidden);
    }
  });
}

// Its gradients: grad and of_rows [n, hidden]; those of the weights grow by theirs times `factor`.
void feed_back(const float* grad, float* of_rows, half* of_mixed, const half* mixed, const float* middle,
               const half* gates, const float* output, const float* weight, const float* gate_up, const float* down,
               float* of_output, float* of_weight, float* of_gate_up, float* of_down, count all, count wide,
               count hidden, count inner, float epsilon, float factor) {
  half* output_ = pack_terms(8, output, hidden, wide);
  half* gate_up_ = pack_terms(9, gate_up, 2 * inner, hidden);
  half* down_ = pack_terms(10, down, hidden, inner);
  Sums sums[] = {
      {of_output, hidden * wide}, {of_weight, hidden}, {of_gate_up, 2 * inner * hidden}, {of_down, hidden * inner}};
  share([&](int i) {
    half *normed = buffer(12, SOME * hidden), *gated = buffer(13, SOME * inner), *narrowed = buffer(14, SOME * hidden);
    half* of_gates = buffer(15, SOME * 2 * inner);
    float *scales = floats(1, SOME), *own[] = {sums[0].own(i), sums[1].own(i), sums[2].own(i), sums[3].own(i)};
    count end = 2 * part(all / 2, i + 1);
    for (count at = 2 * part(all / 2, i), n; at < end; at += n) {
      n = std::min(SOME, end - at);
      const float *grad_ = grad + at * hidden, *middle_ = middle + at * hidden;
      const half *mixed_ = mixed + at * wide, *gates_ = gates + at * 2 * inner;
      float* of_rows_ = of_rows + at * hidden;
      narrow(grad_, narrowed, n * hidden);
      product(narrowed, down_, Halves{gated, inner, nullptr}, n, hidden, inner);
      gate_back(gated, gates_, gated, of_gates, n, inner);
      add_turned(narrowed, hidden, gated, inner, n, hidden, inner, own[3], factor);
      norm(middle_, weight, normed, scales, n, hidden, epsilon);
      add_turned(of_gates, 2 * inner, normed, hidden, n, 2 * inner, hidden, own[2], factor);
      product(of_gates, gate_up_, Halves{normed, hidden, nullptr}, n, 2 * inner, hidden);
      norm_back(normed, middle_, weight, scales, grad_, of_rows_, own[1], n, hidden);
      narrow(of_rows_, narrowed, n * hidden);
      add_turned(narrowed, hidden, mixed_, wide, n, hidden, wide, own[0], factor);
      product(narrowed, output_, Halves{of_mixed + at * wide, wide, nullptr}, n, hidden, wide);
    }
  });
  for (Sums& each : sums) each.gather();
  for (count j = 0; j < hidden; j++) of_weight[j] *= factor;
}

}
