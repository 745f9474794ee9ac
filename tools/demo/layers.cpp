// Whole layers of halves, some sequences at a time, so that their numbers stay in the cache.
// halves.py says what the arguments are.

#include <algorithm>

#include "products.h"

namespace {

const count TOKENS = 320;  // that stay in the cache

// One head of one token; `way` is 1, or -1 to turn back. The first 2 * pairs values turn.
void turn(const half* from, half* to, count size, count pairs, const float* cosine, const float* sine,
          float way, float scale) {
  for (count k = 0; k < pairs; k += 16) {
    __mmask16 mask = first(pairs - k);
    __m512 a = load(from + k, mask), b = load(from + pairs + k, mask);
    __m512 c = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, cosine + k), _mm512_set1_ps(scale));
    __m512 s = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, sine + k), _mm512_set1_ps(scale * way));
    save(to + k, mask, _mm512_sub_ps(_mm512_mul_ps(a, c), _mm512_mul_ps(b, s)));
    save(to + pairs + k, mask, _mm512_add_ps(_mm512_mul_ps(b, c), _mm512_mul_ps(a, s)));
  }
  for (count k = 2 * pairs; k < size; k += 16) {
    __mmask16 mask = first(size - k);
    save(to + k, mask, _mm512_mul_ps(load(from + k, mask), _mm512_set1_ps(scale)));
  }
}

// How many sequences go together.
count together(count length) { return length < TOKENS ? TOKENS / length : 1; }

half* pack_rows(int which, const float* weight, count columns, count terms) {
  half* to = buffer(which, panels(columns) * COLUMNS * terms);
  pack_across(weight, terms, columns, terms, to);
  return to;
}

half* pack_terms(int which, const float* weight, count terms, count columns) {
  half* to = buffer(which, panels(columns) * COLUMNS * terms);
  pack_down(weight, columns, terms, columns, to);
  return to;
}

// a [rows, terms] times packed b.
template <class Out>
void product(const half* a, const half* b, const Out& out, count rows, count terms, count columns) {
  multiply(Left{a, terms, 2}, b, COLUMNS * terms, terms / 2, out, rows, columns);
}

}  // namespace

extern "C" {

// Of kernels.cpp.
void norm(const float*, const float*, half*, float*, count, count, float);
void norm_back(const half*, const float*, const float*, const float*, float*, float*, count, count);
void gate(const half*, half*, count, count);
void gate_back(const half*, const half*, half*, count, count);

// Causal attention. tokens [batch, length, 3, heads, size] -> mixed [batch, length, heads, size]; parts
// [batch, heads, 2, length, size] keeps turned queries and keys, shares [batch, heads, length, length].
void attend(const half* tokens, half* parts, half* shares, half* mixed, const float* cosine, const float* sine,
            count batch, count length, count heads, count size, count pairs, float scale) {
  count row = 3 * heads * size, area = length * size, wide = panels(length) * COLUMNS;
  half* packed = buffer(3, wide * size);
  half* values = buffer(4, panels(size) * COLUMNS * length);
  half* scores = buffer(5, ROWS * wide);
  float exps[LONGEST];
  for (count b = 0; b < batch; b++)
    for (count h = 0; h < heads; h++, parts += 2 * area, shares += length * length) {
      const half* first = tokens + b * length * row + h * size;
      half *query = parts, *key = parts + area;
      for (count t = 0; t < length; t++) {
        const float *c = cosine + t * pairs, *s = sine + t * pairs;
        turn(first + t * row, query + t * size, size, pairs, c, s, 1, scale);
        turn(first + t * row + heads * size, key + t * size, size, pairs, c, s, 1, 1);
      }
      pack_across(key, size, length, size, packed);
      pack_down(first + 2 * heads * size, row, length, size, values);
      for (count i = 0; i < length; i += ROWS) {
        count rows = length - i < ROWS ? length - i : ROWS, seen = i + rows;
        multiply(Left{query + i * size, size, 2}, packed, COLUMNS * size, size / 2, Halves{scores, wide, nullptr},
                 rows, seen);
        for (count r = 0; r < rows; r++) {
          const half* score = scores + r * wide;
          half* share = shares + (i + r) * length;
          count n = i + r + 1;
          float most = -INFINITY, sum = 0;
          widen(score, exps, n);
          for (count j = 0; j < n; j++) most = std::fmax(most, exps[j]);
          for (count j = 0; j < n; j++) sum += exps[j] = std::exp(exps[j] - most);
          narrow(exps, share, n, 1 / sum);
          memset(share + n, 0, (length - n) * sizeof(half));
        }
        multiply(Left{shares + i * length, length, 2}, values, COLUMNS * length, (seen + 1) / 2,
                 Halves{mixed + ((b * length + i) * heads + h) * size, heads * size, nullptr}, rows, size);
      }
    }
}

// Its gradients: grad as mixed, of_tokens as tokens.
void attend_back(const half* tokens, const half* parts, const half* shares, const half* mixed, const half* grad,
                 half* of_tokens, const float* cosine, const float* sine, count batch, count length, count heads,
                 count size, count pairs, float scale) {
  count row = 3 * heads * size, area = length * size, wide = panels(length) * COLUMNS, step = heads * size;
  half* values = buffer(3, wide * size);
  half* keys = buffer(4, panels(size) * COLUMNS * length);
  half* scores = buffer(5, length * length);
  half* of_query = buffer(6, area);
  half* of_key = buffer(7, area);
  std::vector<float> sums(2 * area);
  float one[LONGEST], two[LONGEST];
  for (count b = 0; b < batch; b++)
    for (count h = 0; h < heads; h++, parts += 2 * area, shares += length * length) {
      count at = b * length * row + h * size, out = (b * length * heads + h) * size;
      const half *query = parts, *key = parts + area, *value = tokens + at + 2 * heads * size;
      pack_across(value, row, length, size, values);
      pack_down(key, size, length, size, keys);
      for (count i = 0; i < length; i += ROWS) {
        count rows = length - i < ROWS ? length - i : ROWS, seen = i + rows;
        multiply(Left{grad + out + i * step, step, 2}, values, COLUMNS * size, size / 2,
                 Halves{scores + i * length, length, nullptr}, rows, seen);
        for (count r = i; r < i + rows; r++) {
          half* score = scores + r * length;
          float dot = 0;
          widen(grad + out + r * step, one, size);
          widen(mixed + out + r * step, two, size);
          for (count k = 0; k < size; k++) dot += one[k] * two[k];
          widen(score, one, r + 1);
          widen(shares + r * length, two, r + 1);
          for (count j = 0; j <= r; j++) one[j] = (one[j] - dot) * two[j];
          narrow(one, score, r + 1);
          memset(score + r + 1, 0, (length - r - 1) * sizeof(half));
        }
        multiply(Left{scores + i * length, length, 2}, keys, COLUMNS * length, (seen + 1) / 2,
                 Halves{of_query + i * size, size, nullptr}, rows, size);
      }
      memset(sums.data(), 0, 2 * area * sizeof(float));
      add_turned(scores, length, query, size, length, length, size, sums.data(), 1);
      add_turned(shares, length, grad + out, step, length, length, size, sums.data() + area, 1);
      narrow(sums.data(), of_key, area);
      for (count t = 0; t < length; t++) {
        const float *c = cosine + t * pairs, *s = sine + t * pairs;
        half* token = of_tokens + at + t * row;
        turn(of_query + t * size, token, size, pairs, c, s, -1, scale);
        turn(of_key + t * size, token + heads * size, size, pairs, c, s, -1, 1);
        narrow(sums.data() + area + t * size, token + 2 * heads * size, size);
      }
    }
}

// One layer. rows, out and middle (between attention and MLP) are [tokens, hidden], the other results are
// kept for the gradients: stacked [tokens, 3, heads, size], parts and shares as of `attend`, mixed
// [tokens, heads, size], gates [tokens, 2, inner].
void layer(const float* rows, float* out, half* stacked, half* parts, half* shares, half* mixed, float* middle,
           half* gates, const float* norm1, const float* stack, const float* bias, const float* output,
           const float* norm2, const float* gate_up, const float* down, const float* cosine, const float* sine,
           count batch, count length, count heads, count size, count pairs, count hidden, count inner,
           float epsilon) {
  count wide = heads * size, some = together(length), most = some * length;
  float scale = 1 / std::sqrt(float(size));
  half* stack_ = pack_rows(8, stack, 3 * wide, hidden);
  half* output_ = pack_rows(9, output, hidden, wide);
  half* gate_up_ = pack_rows(10, gate_up, 2 * inner, hidden);
  half* down_ = pack_rows(11, down, hidden, inner);
  share([&](int i) {
    half* normed = buffer(12, most * hidden);
    half* gated = buffer(13, most * inner);
    std::vector<float> scales(most);
    count end = part(batch, i + 1);
    for (count b = part(batch, i), n; b < end; b += n) {
      n = std::min(some, end - b);
      count at = b * length, tokens = n * length, area = b * heads * length;
      half *stacked_ = stacked + at * 3 * wide, *mixed_ = mixed + at * wide, *gates_ = gates + at * 2 * inner;
      float *middle_ = middle + at * hidden, *out_ = out + at * hidden;
      norm(rows + at * hidden, norm1, normed, scales.data(), tokens, hidden, epsilon);
      product(normed, stack_, Halves{stacked_, 3 * wide, bias}, tokens, hidden, 3 * wide);
      attend(stacked_, parts + area * 2 * size, shares + area * length, mixed_, cosine, sine, n, length, heads, size,
             pairs, scale);
      memcpy(middle_, rows + at * hidden, tokens * hidden * sizeof(float));
      product(mixed_, output_, Added{middle_, hidden, 1}, tokens, wide, hidden);
      norm(middle_, norm2, normed, scales.data(), tokens, hidden, epsilon);
      product(normed, gate_up_, Halves{gates_, 2 * inner, nullptr}, tokens, hidden, 2 * inner);
      gate(gates_, gated, tokens, inner);
      memcpy(out_, middle_, tokens * hidden * sizeof(float));
      product(gated, down_, Added{out_, hidden, 1}, tokens, inner, hidden);
    }
  });
}

// Its gradients: grad and of_rows [tokens, hidden]; those of the weights grow by theirs times `factor`.
void layer_back(const float* grad, float* of_rows, const float* rows, const half* stacked, const half* parts,
                const half* shares, const half* mixed, const float* middle, const half* gates, const float* norm1,
                const float* stack, const float* output, const float* norm2, const float* gate_up,
                const float* down, float* of_norm1, float* of_stack, float* of_bias, float* of_output,
                float* of_norm2, float* of_gate_up, float* of_down, const float* cosine, const float* sine,
                count batch, count length, count heads, count size, count pairs, count hidden, count inner,
                float epsilon, float factor) {
  count wide = heads * size, some = together(length), most = some * length;
  float scale = 1 / std::sqrt(float(size));
  half* stack_ = pack_terms(8, stack, 3 * wide, hidden);
  half* output_ = pack_terms(9, output, hidden, wide);
  half* gate_up_ = pack_terms(10, gate_up, 2 * inner, hidden);
  half* down_ = pack_terms(11, down, hidden, inner);
  Sums sums[] = {{of_norm1, hidden}, {of_stack, 3 * wide * hidden}, {of_bias, 3 * wide}, {of_output, hidden * wide},
                 {of_norm2, hidden}, {of_gate_up, 2 * inner * hidden}, {of_down, hidden * inner}};
  share([&](int i) {
    half* normed = buffer(12, most * hidden);
    half* gated = buffer(13, most * inner);
    half* of_gates = buffer(14, most * 2 * inner);
    half* of_stacked = buffer(15, most * 3 * wide);
    half* of_mixed = buffer(16, most * wide);
    half* narrowed = buffer(17, most * hidden);
    float* own[7];
    for (int k = 0; k < 7; k++) own[k] = sums[k].own(i);
    std::vector<float> scales(most), more(most * hidden), wider(3 * wide);
    count end = part(batch, i + 1);
    for (count b = part(batch, i), n; b < end; b += n) {
      n = std::min(some, end - b);
      count at = b * length, tokens = n * length, all = tokens * hidden, area = b * heads * length;
      const half *stacked_ = stacked + at * 3 * wide, *mixed_ = mixed + at * wide, *gates_ = gates + at * 2 * inner;
      const float *grad_ = grad + at * hidden, *middle_ = middle + at * hidden, *rows_ = rows + at * hidden;
      float* of_rows_ = of_rows + at * hidden;
      narrow(grad_, narrowed, all);
      gate(gates_, gated, tokens, inner);
      add_turned(narrowed, hidden, gated, inner, tokens, hidden, inner, own[6], factor);
      product(narrowed, down_, Halves{gated, inner, nullptr}, tokens, hidden, inner);
      gate_back(gated, gates_, of_gates, tokens, inner);
      norm(middle_, norm2, normed, scales.data(), tokens, hidden, epsilon);
      add_turned(of_gates, 2 * inner, normed, hidden, tokens, 2 * inner, hidden, own[5], factor);
      product(of_gates, gate_up_, Halves{normed, hidden, nullptr}, tokens, 2 * inner, hidden);
      norm_back(normed, middle_, norm2, scales.data(), more.data(), own[4], tokens, hidden);
      for (count j = 0; j < all; j++) of_rows_[j] = grad_[j] + more[j];
      narrow(of_rows_, narrowed, all);
      add_turned(narrowed, hidden, mixed_, wide, tokens, hidden, wide, own[3], factor);
      product(narrowed, output_, Halves{of_mixed, wide, nullptr}, tokens, hidden, wide);
      attend_back(stacked_, parts + area * 2 * size, shares + area * length, mixed_, of_mixed, of_stacked, cosine,
                  sine, n, length, heads, size, pairs, scale);
      norm(rows_, norm1, normed, scales.data(), tokens, hidden, epsilon);
      add_turned(of_stacked, 3 * wide, normed, hidden, tokens, 3 * wide, hidden, own[1], factor);
      for (count j = 0; j < tokens; j++) {
        widen(of_stacked + j * 3 * wide, wider.data(), 3 * wide);
        for (count k = 0; k < 3 * wide; k++) own[2][k] += wider[k] * factor;
      }
      product(of_stacked, stack_, Halves{normed, hidden, nullptr}, tokens, 3 * wide, hidden);
      norm_back(normed, rows_, norm1, scales.data(), more.data(), own[0], tokens, hidden);
      for (count j = 0; j < all; j++) of_rows_[j] += more[j];
    }
  });
  for (Sums& each : sums) each.gather();
  for (count j = 0; j < hidden; j++) of_norm1[j] *= factor, of_norm2[j] *= factor;
}

}
