// What a training step needs beside its layers: the loss with its gradients, and Muon's orthogonal
// matrices. halves.py says what the arguments are.

#include <algorithm>

#include "products.h"

namespace {

void make_orthogonal(float* matrix, count rows, count columns, const float* coefficients, count steps) {
  count size = rows * columns, square = columns * columns;
  half *x = buffer(2, size), *next = buffer(3, size), *gram = buffer(4, square), *factor = buffer(5, square);
  half* packed = buffer(6, panels(columns) * COLUMNS * columns);
  std::vector<float> sums(square);
  double norm = 0;
  for (count j = 0; j < size; j++) norm += matrix[j] * matrix[j];
  narrow(matrix, x, size, float(1 / (std::sqrt(norm) * 1.01 + 1e-30)));
  for (count s = 0; s < steps; s++) {
    const float* c = coefficients + 3 * s;
    memset(sums.data(), 0, square * sizeof(float));
    add_turned(x, columns, x, columns, rows, columns, columns, sums.data(), 1);
    narrow(sums.data(), gram, square);
    pack_down(gram, columns, columns, columns, packed);
    multiply(Left{gram, columns, 2}, packed, COLUMNS * columns, columns / 2, Mixed{factor, gram, columns, c[2], c[1]},
             columns, columns);
    pack_down(factor, columns, columns, columns, packed);
    multiply(Left{x, columns, 2}, packed, COLUMNS * columns, columns / 2, Mixed{next, x, columns, 1, c[0]}, rows,
             columns);
    std::swap(x, next);
  }
  widen(x, matrix, size);
}

// In place: one row of logits becomes the gradient of its cross-entropy, which is returned.
double take_entropy(half* logits, count wanted, count words, float* powers) {
  __m512 most = _mm512_set1_ps(-65504), sum = _mm512_setzero_ps();
  for (count j = 0; j < words; j += 16) {
    __mmask16 mask = first(words - j);
    most = _mm512_mask_max_ps(most, mask, load(logits + j, mask), most);
  }
  float top = _mm512_reduce_max_ps(most), chosen = logits[wanted];
  for (count j = 0; j < words; j += 16) {
    __mmask16 mask = first(words - j);
    __m512 some = power(_mm512_sub_ps(load(logits + j, mask), _mm512_set1_ps(top)));
    some = _mm512_maskz_mov_ps(mask, some);
    _mm512_storeu_ps(powers + j, some);
    sum = _mm512_add_ps(sum, some);
  }
  float whole = _mm512_reduce_add_ps(sum);
  powers[wanted] -= whole;
  narrow(powers, logits, words, 1 / whole);
  return std::log(whole) - (chosen - top);
}

// Of all rows where `wanted` is not negative; the others become zero.
double entropy(half* logits, const count* wanted, count n, count words) {
  float* powers = floats(0, words);
  double loss = 0;
  for (count i = 0; i < n; i++, logits += words)
    if (wanted[i] < 0) memset(logits, 0, words * sizeof(half));
    else loss += take_entropy(logits, wanted[i], words, powers);
  return loss;
}

}  // namespace

extern "C" {

void set_threads(count n) { threads = n; }

// The summed cross-entropy of a [rows, terms] times the transpose of weight, where wanted is not
// negative; of_a and of_weight, zero before, are the gradients.
double judge(const half* a, const float* weight, const count* wanted, float* of_a, float* of_weight, count rows,
             count terms, count columns) {
  half* logits = buffer(7, rows * columns);
  half* across = buffer(2, panels(columns) * COLUMNS * terms);
  half* down = buffer(3, panels(terms) * COLUMNS * columns);
  pack_across(weight, terms, columns, terms, across);
  for (count t = 0; t < columns; t += CHUNK)
    pack_down(weight + t * terms, terms, std::min(CHUNK, columns - t), terms, down + t * panels(terms) * COLUMNS);
  Sums sums(of_weight, columns * terms);
  std::vector<double> losses(threads);
  share([&](int i) {
    count from = part(rows / 2, i) * 2, n = part(rows / 2, i + 1) * 2 - from;
    half* own = logits + from * columns;
    product(a + from * terms, across, Kept{{own, columns, nullptr}}, n, terms, columns);
    losses[i] = entropy(own, wanted + from, n, columns);
    for (count t = 0; t < columns; t += CHUNK) {
      count some = std::min(CHUNK, columns - t);
      multiply(Left{own + t, columns, 2}, down + t * panels(terms) * COLUMNS, COLUMNS * some, some / 2,
               Added{of_a + from * terms, terms, 1}, n, terms);
    }
    add_turned(own, columns, a + from * terms, terms, n, columns, terms, sums.own(i), 1);
  });
  sums.gather();
  double loss = 0;
  for (double each : losses) loss += each;
  return loss;
}

// In place: n matrices [rows, columns], rows >= columns, become nearly orthogonal in `steps` steps of
// first * x + x (third * g + fifth * g g), where g is the transpose of x times x.
void orthogonalize(float* stack, count n, count rows, count columns, const float* coefficients, count steps) {
  share([&](int i) {
    for (count j = part(n, i); j < part(n, i + 1); j++)
      make_orthogonal(stack + j * rows * columns, rows, columns, coefficients, steps);
  });
}

}
