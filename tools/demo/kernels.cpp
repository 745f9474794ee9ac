// What a training step on a CPU needs beside matrix products, each in one pass over its numbers:
// norm, gate, attention's ends and middle, cross-entropy. bfloat16 is the upper half of a float.
// kernels.py compiles it, for bfloat16 or with -DFLOAT for float, and says what the arguments are.

#include <cmath>
#include <cstdint>
#include <cstring>

typedef int64_t count;

#ifdef FLOAT
typedef float value;
static inline float widen(value x) { return x; }
static inline value narrow(float x) { return x; }
#else
typedef uint16_t value;
static inline float widen(value x) {
  uint32_t bits = uint32_t(x) << 16; float y; memcpy(&y, &bits, 4); return y;
}
static inline value narrow(float x) {  // to nearest, ties to even
  uint32_t bits; memcpy(&bits, &x, 4);
  return value((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
#endif

static inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

extern "C" {

void norm(const float* rows, const float* weight, value* out, float* scales, count n, count width,
          float epsilon) {
  for (count i = 0; i < n; i++, rows += width, out += width) {
    float sum = 0;
    for (count j = 0; j < width; j++) sum += rows[j] * rows[j];
    float scale = scales[i] = 1 / std::sqrt(sum / width + epsilon);
    for (count j = 0; j < width; j++) out[j] = narrow(rows[j] * scale * weight[j]);
  }
}

void norm_back(const value* grad, const float* rows, const float* weight, const float* scales,
               float* out, float* of_weight, count n, count width) {
  for (count i = 0; i < n; i++, grad += width, rows += width, out += width) {
    float scale = scales[i], share = 0;
    for (count j = 0; j < width; j++) {
      float g = widen(grad[j]), plain = rows[j] * scale;
      of_weight[j] += g * plain;
      share += g * weight[j] * plain;
    }
    share /= width;
    for (count j = 0; j < width; j++)
      out[j] = (widen(grad[j]) * weight[j] - share * rows[j] * scale) * scale;
  }
}

void gate(const value* rows, value* out, count n, count width) {
  for (count i = 0; i < n; i++, rows += 2 * width, out += width)
    for (count j = 0; j < width; j++) {
      float x = widen(rows[j]);
      out[j] = narrow(x * sigmoid(x) * widen(rows[width + j]));
    }
}

void gate_back(const value* grad, const value* rows, value* out, count n, count width) {
  for (count i = 0; i < n; i++, grad += width, rows += 2 * width, out += 2 * width)
    for (count j = 0; j < width; j++) {
      float g = widen(grad[j]), x = widen(rows[j]), up = widen(rows[width + j]), s = sigmoid(x);
      out[j] = narrow(g * up * s * (1 + x * (1 - s)));
      out[width + j] = narrow(g * x * s);
    }
}

// One head of one token; `turn` is 1, or -1 to turn back. The first 2 * pairs values turn.
static inline void move(const value* from, value* to, count size, count pairs, const float* cosine,
                        const float* sine, float turn, float scale) {
  for (count k = 0; k < pairs; k++) {
    float a = widen(from[k]), b = widen(from[pairs + k]), c = cosine[k], s = sine[k] * turn;
    to[k] = narrow((a * c - b * s) * scale);
    to[pairs + k] = narrow((b * c + a * s) * scale);
  }
  for (count k = 2 * pairs; k < size; k++) to[k] = narrow(widen(from[k]) * scale);
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
  float row[4096];
  for (count i = 0; i < n * length; i++, scores += length) {
    count seen = i % length + 1;
    float most = -INFINITY, sum = 0;
    for (count j = 0; j < seen; j++) most = std::fmax(most, row[j] = widen(scores[j]));
    for (count j = 0; j < seen; j++) sum += row[j] = std::exp(row[j] - most);
    for (count j = 0; j < seen; j++) scores[j] = narrow(row[j] / sum);
    memset(scores + seen, 0, (length - seen) * sizeof(value));
  }
}

// In place: gradients of shares become those of scores. grad and mixed are [n, length, size].
void shares_back(value* grads, const value* shares, const value* grad, const value* mixed, count n,
                 count length, count size) {
  for (count i = 0; i < n * length; i++, grads += length, shares += length) {
    count seen = i % length + 1;
    float dot = 0;
    for (count k = 0; k < size; k++) dot += widen(grad[i * size + k]) * widen(mixed[i * size + k]);
    for (count j = 0; j < seen; j++)
      grads[j] = narrow((widen(grads[j]) - dot) * widen(shares[j]));
    memset(grads + seen, 0, (length - seen) * sizeof(value));
  }
}

// In place: logits [n, words] become gradients of the summed cross-entropy, which is returned.
double entropy(value* logits, const count* wanted, count n, count words) {
  float row[65536];
  double loss = 0;
  for (count i = 0; i < n; i++, logits += words) {
    if (wanted[i] < 0) { memset(logits, 0, words * sizeof(value)); continue; }
    float most = -INFINITY, sum = 0;
    for (count j = 0; j < words; j++) most = std::fmax(most, row[j] = widen(logits[j]));
    loss -= row[wanted[i]] - most;
    for (count j = 0; j < words; j++) sum += row[j] = std::exp(row[j] - most);
    loss += std::log(sum);
    row[wanted[i]] -= sum;
    for (count j = 0; j < words; j++) logits[j] = narrow(row[j] / sum);
  }
  return loss;
}

}
