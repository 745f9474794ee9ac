// The first half of a layer of halves, norm and attention, some sequences at a time, so that their
// numbers stay in the cache. halves.py says what the arguments are.

#include <algorithm>

#include "products.h"

namespace {

const count TOKENS = 192;  // that stay in the cache

struct Shape {
  count length, heads, size, pairs;
  const float *cosine, *sine;  // [length, pairs]
  count row() const { return 3 * heads * size; }
  float scale() const { return 1 / std::sqrt(float(size)); }
  count together() const { return length < TOKENS ? TOKENS / length : 1; }  // sequences
};

// One head of one token; `way` is 1, or -1 to turn back. The first 2 * pairs values turn.
void turn(half* token, const Shape& s, count t, float way, float scale) {
  for (count k = 0; k < s.pairs; k += 16) {
    __mmask16 mask = first(s.pairs - k);
    __m512 a = load(token + k, mask), b = load(token + s.pairs + k, mask);
    __m512 cosine = _mm512_maskz_loadu_ps(mask, s.cosine + t * s.pairs + k);
    __m512 sine = _mm512_maskz_loadu_ps(mask, s.sine + t * s.pairs + k);
    cosine = _mm512_mul_ps(cosine, _mm512_set1_ps(scale)), sine = _mm512_mul_ps(sine, _mm512_set1_ps(scale * way));
    save(token + k, mask, _mm512_sub_ps(_mm512_mul_ps(a, cosine), _mm512_mul_ps(b, sine)));
    save(token + s.pairs + k, mask, _mm512_add_ps(_mm512_mul_ps(b, cosine), _mm512_mul_ps(a, sine)));
  }
  if (scale == 1) return;
  for (count k = 2 * s.pairs; k < s.size; k += 16) {
    __mmask16 mask = first(s.size - k);
    save(token + k, mask, _mm512_mul_ps(load(token + k, mask), _mm512_set1_ps(scale)));
  }
}

// The first n scores become shares, the others up to `length` zero.
void take_shares(const half* score, half* share, count n, count length) {
  float powers[LONGEST];
  __m512 most = _mm512_set1_ps(-65504), sum = _mm512_setzero_ps();
  for (count j = 0; j < n; j += 16) {
    __mmask16 mask = first(n - j);
    most = _mm512_mask_max_ps(most, mask, load(score + j, mask), most);
  }
  most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
  for (count j = 0; j < n; j += 16) {
    __mmask16 mask = first(n - j);
    __m512 some = _mm512_maskz_mov_ps(mask, power(_mm512_sub_ps(load(score + j, mask), most)));
    _mm512_storeu_ps(powers + j, some);
    sum = _mm512_add_ps(sum, some);
  }
  memset(share, 0, length * sizeof(half));
  narrow(powers, share, n, 1 / _mm512_reduce_add_ps(sum));
}

// In place: gradients of n shares become those of scores, the others up to `length` zero. `dot` is what
// gradient and result of this row have in common.
void take_shares_back(half* score, const half* share, float dot, count n, count length) {
  for (count j = 0; j < n; j += 16) {
    __mmask16 mask = first(n - j);
    __m512 some = _mm512_sub_ps(load(score + j, mask), _mm512_set1_ps(dot));
    save(score + j, mask, _mm512_mul_ps(some, load(share + j, mask)));
  }
  memset(score + n, 0, (length - n) * sizeof(half));
}

float dot(const half* one, const half* other, count n) {
  __m512 sum = _mm512_setzero_ps();
  for (count k = 0; k < n; k += 16) {
    __mmask16 mask = first(n - k);
    sum = _mm512_fmadd_ps(load(one + k, mask), load(other + k, mask), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

// Causal attention of one head of one sequence; queries and keys turn in place.
void attend(half* query, half* shares, half* mixed, const Shape& s) {
  count row = s.row(), length = s.length, size = s.size, wide = panels(length) * COLUMNS;
  half *key = query + s.heads * size, *value = key + s.heads * size;
  half* packed = buffer(3, wide * size);
  half* values = buffer(4, panels(size) * COLUMNS * length);
  half* scores = buffer(5, ROWS * wide);
  for (count t = 0; t < length; t++) turn(query + t * row, s, t, 1, s.scale()), turn(key + t * row, s, t, 1, 1);
  pack_across(key, row, length, size, packed);
  pack_down(value, row, length, size, values);
  for (count i = 0; i < length; i += ROWS) {
    count rows = std::min(ROWS, length - i), seen = i + rows;
    multiply(Left{query + i * row, row, 2}, packed, COLUMNS * size, size / 2, Halves{scores, wide, nullptr}, rows, seen);
    for (count r = 0; r < rows; r++) take_shares(scores + r * wide, shares + (i + r) * length, i + r + 1, length);
    multiply(Left{shares + i * length, length, 2}, values, COLUMNS * length, (seen + 1) / 2,
             Halves{mixed + i * s.heads * size, s.heads * size, nullptr}, rows, size);
  }
}

// Its gradients: grad as mixed, of_query (of keys and values behind it, too) as query.
void attend_back(const half* query, const half* shares, const half* mixed, const half* grad, half* of_query,
                 const Shape& s) {
  count row = s.row(), length = s.length, size = s.size, step = s.heads * size;
  const half *key = query + step, *value = key + step;
  half *of_key = of_query + step, *of_value = of_key + step;
  half* values = buffer(3, panels(length) * COLUMNS * size);
  half* keys = buffer(4, panels(size) * COLUMNS * length);
  half* scores = buffer(5, length * length);
  float *sums = floats(0, 2 * length * size), *more = sums + length * size;
  pack_across(value, row, length, size, values);
  pack_down(key, row, length, size, keys);
  for (count i = 0; i < length; i += ROWS) {
    count rows = std::min(ROWS, length - i), seen = i + rows;
    multiply(Left{grad + i * step, step, 2}, values, COLUMNS * size, size / 2,
             Halves{scores + i * length, length, nullptr}, rows, seen);
    for (count r = i; r < seen; r++)
      take_shares_back(scores + r * length, shares + r * length, dot(grad + r * step, mixed + r * step, size), r + 1,
                       length);
    multiply(Left{scores + i * length, length, 2}, keys, COLUMNS * length, (seen + 1) / 2,
             Halves{of_query + i * row, row, nullptr}, rows, size);
  }
  memset(sums, 0, 2 * length * size * sizeof(float));
  add_turned(scores, length, query, row, length, length, size, sums, 1, true);
  add_turned(shares, length, grad, step, length, length, size, more, 1, true);
  for (count t = 0; t < length; t++) {
    narrow(sums + t * size, of_key + t * row, size);
    narrow(more + t * size, of_value + t * row, size);
    turn(of_query + t * row, s, t, -1, s.scale()), turn(of_key + t * row, s, t, -1, 1);
  }
}

// Adds the sum of all rows times `scale`.
void add_rows(const half* rows, count n, count width, float* out, float scale) {
  for (count j = 0; j < width; j += 16) {
    __mmask16 mask = first(width - j);
    __m512 sum = _mm512_setzero_ps();
    for (count i = 0; i < n; i++) sum = _mm512_add_ps(sum, load(rows + i * width + j, mask));
    sum = _mm512_fmadd_ps(sum, _mm512_set1_ps(scale), _mm512_maskz_loadu_ps(mask, out + j));
    _mm512_mask_storeu_ps(out + j, mask, sum);
  }
}

}  // namespace

extern "C" {

// rows [batch * length, hidden] -> mixed [batch, length, heads, size]; stacked [batch, length, 3, heads, size]
// keeps turned queries and keys, and values, shares [batch, heads, length, length].
void mix(const float* rows, half* stacked, half* shares, half* mixed, const float* weight, const float* stack,
         const float* bias, const float* cosine, const float* sine, count batch, count length, count heads, count size,
         count pairs, count hidden, float epsilon) {
  Shape s{length, heads, size, pairs, cosine, sine};
  count row = s.row(), some = s.together();
  half* packed = pack_rows(8, stack, row, hidden);
  share([&](int i) {
    half* normed = buffer(12, some * length * hidden);
    float* scales = floats(1, some * length);
    count end = part(batch, i + 1);
    for (count b = part(batch, i), n; b < end; b += n) {
      n = std::min(some, end - b);
      count at = b * length, tokens = n * length;
      norm(rows + at * hidden, weight, normed, scales, tokens, hidden, epsilon);
      product(normed, packed, Kept{{stacked + at * row, row, bias}}, tokens, hidden, row);
      for (count j = b; j < b + n; j++)
        for (count h = 0; h < heads; h++)
          attend(stacked + j * length * row + h * size, shares + (j * heads + h) * length * length,
                 mixed + (j * length * heads + h) * size, s);
    }
  });
}

// Its gradients: of_mixed as mixed; of_rows grows by theirs, those of the weights by theirs times `factor`.
void mix_back(const half* of_mixed, float* of_rows, const float* rows, const half* stacked, const half* shares,
              const half* mixed, const float* weight, const float* stack, float* of_weight, float* of_stack,
              float* of_bias, const float* cosine, const float* sine, count batch, count length, count heads,
              count size, count pairs, count hidden, float epsilon, float factor) {
  Shape s{length, heads, size, pairs, cosine, sine};
  count row = s.row(), some = s.together();
  half* packed = pack_terms(8, stack, row, hidden);
  Sums sums[] = {{of_weight, hidden}, {of_stack, row * hidden}, {of_bias, row}};
  share([&](int i) {
    half* normed = buffer(12, some * length * hidden);
    half* of_stacked = buffer(13, some * length * row);
    float *scales = floats(1, some * length), *own[] = {sums[0].own(i), sums[1].own(i), sums[2].own(i)};
    count end = part(batch, i + 1);
    for (count b = part(batch, i), n; b < end; b += n) {
      n = std::min(some, end - b);
      count at = b * length, tokens = n * length;
      for (count j = b; j < b + n; j++)
        for (count h = 0; h < heads; h++) {
          count out = (j * length * heads + h) * size;
          attend_back(stacked + j * length * row + h * size, shares + (j * heads + h) * length * length, mixed + out,
                      of_mixed + out, of_stacked + (j - b) * length * row + h * size, s);
        }
      norm(rows + at * hidden, weight, normed, scales, tokens, hidden, epsilon);
      add_turned(of_stacked, row, normed, hidden, tokens, row, hidden, own[1], factor);
      add_rows(of_stacked, tokens, row, own[2], factor);
      product(of_stacked, packed, Halves{normed, hidden, nullptr}, tokens, row, hidden);
      norm_back(normed, rows + at * hidden, weight, scales, of_rows + at * hidden, of_rows + at * hidden, own[0], tokens,
                hidden);
    }
  });
  for (Sums& each : sums) each.gather();
  for (count j = 0; j < hidden; j++) of_weight[j] *= factor;
}

}
