// What a training step on a CPU needs beside matrix products, each in one pass over its numbers:
// norm, gate, attention's ends and middle, cross-entropy. bfloat16 is the upper half of a float.
// compiled.py compiles it, for bfloat16 or with -DFLOAT for float or -DHALF for half, kernels.py says what
// the arguments are.

#include <cmath>
#include <cstdint>
#include <cstring>

typedef int64_t count;

#if defined(HALF)
#include "halves.h"
typedef half value;
#elif defined(FLOAT)
typedef float value;
static inline void widen(const float* from, float* to, count n) { memcpy(to, from, n * sizeof(float)); }
static inline void narrow(const float* from, float* to, count n) { memcpy(to, from, n * sizeof(float)); }
#else
typedef uint16_t value;
static inline void widen(const value* from, float* to, count n) {
  for (count i = 0; i < n; i++) {
    uint32_t bits = uint32_t(from[i]) << 16;
    memcpy(to + i, &bits, 4);
  }
}
static inline void narrow(const float* from, value* to, count n) {  // to nearest, ties to even
  for (count i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, from + i, 4);
    to[i] = value((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
}
#endif

static const count LONGEST = 4096, WORDS = 65536;  // numbers in a row
static inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

extern "C" {

void norm(const float* rows, const float* weight, value* out, float* scales, count n, count width,
          float epsilon) {
  float one[LONGEST];
  for (count i = 0; i < n; i++, rows += width, out += width) {
    float sum = 0;
    for (count j = 0; j < width; j++) sum += rows[j] * rows[j];
    float scale = scales[i] = 1 / std::sqrt(sum / width + epsilon);
    for (count j = 0; j < width; j++) one[j] = rows[j] * scale * weight[j];
    narrow(one, out, width);
  }
}

// `out` gets `more`, unless that is null, and the gradient of the rows.
void norm_back(const value* grad, const float* rows, const float* weight, const float* scales,
               const float* more, float* out, float* of_weight, count n, count width) {
  float one[LONGEST];
  for (count i = 0; i < n; i++, grad += width, rows += width, out += width) {
    float scale = scales[i], share = 0;
    widen(grad, one, width);
    for (count j = 0; j < width; j++) {
      float plain = rows[j] * scale;
      of_weight[j] += one[j] * plain;
      share += one[j] * weight[j] * plain;
    }
    share /= width;
    for (count j = 0; j < width; j++) one[j] = (one[j] * weight[j] - share * rows[j] * scale) * scale;
    for (count j = 0; j < width; j++) out[j] = more ? one[j] + more[j] : one[j];
    if (more) more += width;
  }
}

#ifndef HALF  // attention.cpp, feed.cpp and products.cpp have what follows for halves

void gate(const value* rows, value* out, count n, count width) {
  float one[LONGEST], two[LONGEST];
  for (count i = 0; i < n; i++, rows += 2 * width, out += width) {
    widen(rows, one, width);
    widen(rows + width, two, width);
    for (count j = 0; j < width; j++) one[j] = one[j] * sigmoid(one[j]) * two[j];
    narrow(one, out, width);
  }
}

void gate_back(const value* grad, const value* rows, value* out, count n, count width) {
  float one[LONGEST], two[LONGEST], three[LONGEST];
  for (count i = 0; i < n; i++, grad += width, rows += 2 * width, out += 2 * width) {
    widen(rows, one, width);
    widen(rows + width, two, width);
    widen(grad, three, width);
    for (count j = 0; j < width; j++) {
      float g = three[j], x = one[j], s = sigmoid(x);
      one[j] = g * two[j] * s * (1 + x * (1 - s));
      two[j] = g * x * s;
    }
    narrow(one, out, width);
    narrow(two, out + width, width);
  }
}

// In place: logits [n, words] become gradients of the summed cross-entropy, which is returned.
double entropy(value* logits, const count* wanted, count n, count words) {
  static thread_local float row[WORDS];
  double loss = 0;
  for (count i = 0; i < n; i++, logits += words) {
    if (wanted[i] < 0) { memset(logits, 0, words * sizeof(value)); continue; }
    float most = -INFINITY, sum = 0;
    widen(logits, row, words);
    for (count j = 0; j < words; j++) most = std::fmax(most, row[j]);
    loss -= row[wanted[i]] - most;
    for (count j = 0; j < words; j++) sum += row[j] = std::exp(row[j] - most);
    loss += std::log(sum);
    row[wanted[i]] -= sum;
    for (count j = 0; j < words; j++) row[j] /= sum;
    narrow(row, logits, words);
  }
  return loss;
}

// One head of one token; `turn` is 1, or -1 to turn back. The first 2 * pairs values turn.
static inline void move(const value* from, value* to, count size, count pairs, const float* cosine,
                        const float* sine, float turn, float scale) {
  float one[LONGEST];
  widen(from, one, size);
  for (count k = 0; k < pairs; k++) {
    float a = one[k], b = one[pairs + k], c = cosine[k], s = sine[k] * turn;
    one[k] = a * c - b * s;
    one[pairs + k] = b * c + a * s;
  }
  for (count k = 0; k < size; k++) one[k] *= scale;
  narrow(one, to, size);
}

// From [batch, length, 3, heads, size] to [3, batch, heads, length, size], or back: queries are
// scaled, queries and keys turned.
void split(value* tokens, value* parts, const float* cosine, const float* sine, count batch,
           count length, count heads, count size, count pairs, float scale, int is_back) {
  for (count b = 0; b < batch; b++)
    for (count t = 0; t < length; t++)
      for (count part = 0; part < 3; part++)
        for (count h = 0; h < heads; h++) {
          value* token = tokens + (((b * length + t) * 3 + part) * heads + h) * size;
          value* moved = parts + (((part * batch + b) * heads + h) * length + t) * size;
          count turned = part < 2 ? pairs : 0;
          float factor = part == 0 ? scale : 1;
          if (is_back)
            move(moved, token, size, turned, cosine + t * pairs, sine + t * pairs, -1, factor);
          else
            move(token, moved, size, turned, cosine + t * pairs, sine + t * pairs, 1, factor);
        }
}

// In place: scores [n, length, length] become shares of what is not later.
void shares(value* scores, count n, count length) {
  float one[LONGEST];
  for (count i = 0; i < n * length; i++, scores += length) {
    count seen = i % length + 1;
    float most = -INFINITY, sum = 0;
    widen(scores, one, seen);
    for (count j = 0; j < seen; j++) most = std::fmax(most, one[j]);
    for (count j = 0; j < seen; j++) sum += one[j] = std::exp(one[j] - most);
    for (count j = 0; j < seen; j++) one[j] /= sum;
    narrow(one, scores, seen);
    memset(scores + seen, 0, (length - seen) * sizeof(value));
  }
}

// In place: gradients of shares become those of scores. grad and mixed are [n, length, size].
void shares_back(value* grads, const value* shares, const value* grad, const value* mixed, count n,
                 count length, count size) {
  float one[LONGEST], two[LONGEST];
  for (count i = 0; i < n * length; i++, grads += length, shares += length) {
    count seen = i % length + 1;
    float dot = 0;
    widen(grad + i * size, one, size);
    widen(mixed + i * size, two, size);
    for (count k = 0; k < size; k++) dot += one[k] * two[k];
    widen(grads, one, seen);
    widen(shares, two, seen);
    for (count j = 0; j < seen; j++) one[j] = (one[j] - dot) * two[j];
    narrow(one, grads, seen);
    memset(grads + seen, 0, (length - seen) * sizeof(value));
  }
}

#endif

}
