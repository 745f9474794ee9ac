// What a CPU step needs beside matrix products: paged attention, RMS norm, rotary positions, gated
// SiLU. Compiled at first use by kernels.py for the processor it runs on; vectors are GCC's, of 16
// floats, so any processor works and AVX512-BF16 has its own dot product.
//
// A cache block holds 16 tokens of one layer, transposed for the vectors: keys [words][16], values
// [rows][size], where one 32-bit word is a float or a pair of bfloat16 neighbours (of the same
// token in keys, of two tokens in values). So 16 scores grow in one register without a reduction.

#include <cstdint>
#include <cstring>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));

static const int BLOCK = 16;     // tokens in a block, lanes in a vector
static const int SEGMENT = 128;  // tokens whose scores are kept at once
static const int TILE = 12;      // queries that share what they read

struct bfloat16 { uint16_t bits; };

static inline floats splat(float x) { return floats{} + x; }
static inline floats load(const float* p) { floats x; memcpy(&x, p, 64); return x; }
static inline void store(float* p, floats x) { memcpy(p, &x, 64); }

static inline float widen(float x) { return x; }
static inline float widen(bfloat16 x) {
  uint32_t bits = uint32_t(x.bits) << 16; float y; memcpy(&y, &bits, 4); return y;
}
// Rounds to nearest even, as torch does; NaN stays NaN.
static inline uint16_t shorten(float x) {
  uint32_t bits; memcpy(&bits, &x, 4);
  if (x != x) return 0x7fc0;
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
static inline void narrow(float x, float* y) { *y = x; }
static inline void narrow(float x, bfloat16* y) { y->bits = shorten(x); }

typedef uint16_t halves __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(64)));

static inline floats read16(const float* p) { return load(p); }
static inline floats read16(const bfloat16* p) {
  halves h; memcpy(&h, p, 32);
  words w = __builtin_convertvector(h, words) << 16;
  floats x; memcpy(&x, &w, 64); return x;
}
static inline halves shorten16(floats x) {
  words w; memcpy(&w, &x, 64);
  w = (w + 0x7fff + ((w >> 16) & 1)) >> 16;
  w = x != x ? words{} + 0x7fc0 : w;
  return __builtin_convertvector(w, halves);
}
static inline void write16(floats x, float* p) { store(p, x); }
static inline void write16(floats x, bfloat16* p) { halves h = shorten16(x); memcpy(p, &h, 32); }
static inline floats round16(floats x, float) { return x; }
static inline floats round16(floats x, bfloat16) { bfloat16 y[16]; write16(x, y); return read16(y); }

// Cephes' exponential, relative error below 2e-7.
static inline floats exponential(floats x) {
  x = x < -87.f ? splat(-87.f) : x > 88.f ? splat(88.f) : x;
  floats shifted = x * 1.44269504f + 12582912.f;  // 1.5 * 2^23 rounds to an integer
  ints power; memcpy(&power, &shifted, 64);
  floats n = shifted - 12582912.f;
  floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
  floats y = splat(1.9875691500e-4f);
  y = y * r + 1.3981999507e-3f; y = y * r + 8.3334519073e-3f; y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f; y = y * r + 5.0000001201e-1f; y = y * r * r + r + 1.f;
  ints bits = (power - 0x4b400000 + 127) << 23;
  floats scale; memcpy(&scale, &bits, 64);
  return y * scale;
}

// total + a * b for words that are floats.
static inline floats multiply(floats total, const float* a, float b, float) {
  return total + load(a) * b;
}
// The same for pairs of bfloat16, both products added.
static inline floats multiply(floats total, const float* a, float b, bfloat16) {
#ifdef __AVX512BF16__
  __m512i pairs = _mm512_loadu_si512(a);
  int32_t pair; memcpy(&pair, &b, 4);
  return (floats)_mm512_dpbf16_ps((__m512)total, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(pair));
#else
  ints pairs; memcpy(&pairs, a, 64);
  int32_t pair; memcpy(&pair, &b, 4);
  int32_t first = pair << 16, second = pair & int32_t(0xffff0000);
  ints firsts = pairs << 16, seconds = pairs & int32_t(0xffff0000);
  floats low, high; float x, y;
  memcpy(&low, &firsts, 64); memcpy(&high, &seconds, 64); memcpy(&x, &first, 4); memcpy(&y, &second, 4);
  return total + low * x + high * y;
#endif
}
template <class T> struct Words { static const int PER = 1; };           // numbers in a word
template <> struct Words<bfloat16> { static const int PER = 2; };

// Scores of N queries with the 16 keys of a block.
template <class T, int N>
static inline void score(const float* queries, int words, const float* keys, float scale, float* scores) {
  floats total[N] = {};
  for (int w = 0; w < words; w++)
    for (int n = 0; n < N; n++) total[n] = multiply(total[n], keys + w * 16, queries[n * words + w], T());
  for (int n = 0; n < N; n++) store(scores + n * SEGMENT, total[n] * scale);
}

// Adds the values of a block, weighted, to N rows of C * 16 columns.
template <class T, int N, int C>
static inline void blend(const float* weights, const float* values, int size, int rows, float* out) {
  floats total[N][C];
  for (int n = 0; n < N; n++) for (int c = 0; c < C; c++) total[n][c] = load(out + n * size + c * 16);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < C; c++)
      for (int n = 0; n < N; n++)
        total[n][c] = multiply(total[n][c], values + r * size + c * 16, weights[n * SEGMENT + r], T());
  for (int n = 0; n < N; n++) for (int c = 0; c < C; c++) store(out + n * size + c * 16, total[n][c]);
}

// The same for N queries, four at a time.
template <class T, int N, int C>
static inline void blend_all(const float* weights, const float* values, int size, int rows, float* out) {
  const int fours = N / 4 * 4;
  for (int n = 0; n < fours; n += 4) blend<T, 4, C>(weights + n * SEGMENT, values, size, rows, out + n * size);
  for (int n = fours; n < N; n++) blend<T, 1, C>(weights + n * SEGMENT, values, size, rows, out + n * size);
}

struct Step {  // the layout of a step, see native.py
  int64_t chunks, tokens, heads, shared, size, key_stride;  // shared: query heads per key head
  const int32_t *rows, *counts, *starts, *widths, *tables;   // of each chunk; widths: blocks before its own in tables
  const int64_t* slots;
};

template <class T>
static void write(const Step& s, const T* key, const T* value, T* keys, T* values) {
  const int per = Words<T>::PER, size = s.size;
#pragma omp parallel for if (s.tokens > 64)
  for (int64_t h = 0; h < s.heads; h++)
    for (int64_t t = 0; t < s.tokens; t++) {
      const int64_t block = s.slots[t] / BLOCK, at = s.slots[t] % BLOCK;
      T* k = keys + (block * s.heads + h) * BLOCK * size;
      T* v = values + (block * s.heads + h) * BLOCK * size;
      // A new holder begins the block: nothing of the last one may be multiplied by a zero weight.
      if (at == 0) { memset((void*)k, 0, BLOCK * size * sizeof(T)); memset((void*)v, 0, BLOCK * size * sizeof(T)); }
      const T *from_k = key + t * s.key_stride + h * size, *from_v = value + t * s.key_stride + h * size;
      for (int w = 0; w < size / per; w++) memcpy((float*)k + w * BLOCK + at, from_k + w * per, 4);
      for (int d = 0; d < size; d++) v[(at / per) * size * per + d * per + at % per] = from_v[d];
    }
}

// One tile: N queries, `shared` neighbouring heads of each of N / shared rows, over all their keys.
template <class T, int N>
static void attend_tile(const Step& s, int64_t chunk, int64_t head, int64_t first, int used,
                        const T* query, const T* keys, const T* values, T* out, float scale) {
  const int per = Words<T>::PER, size = s.size, words = size / per, shared = s.shared;
  const int64_t width = s.heads * shared * size;  // of a row of queries
  const int32_t* table = s.tables + s.widths[chunk];
  alignas(64) float packed[N * 256], scores[N * SEGMENT], total[N * 256], best[N], sum[N];
  const T* from[N];
  for (int n = 0; n < N; n++) {
    const int m = n < used ? n : 0;
    const int64_t row = s.rows[chunk] + first + m / shared;
    from[n] = query + row * width + (head * shared + m % shared) * size;
    memcpy(packed + n * words, from[n], size * sizeof(T));
    best[n] = -3.4e38f; sum[n] = 0;
  }
  memset(total, 0, sizeof(float) * N * size);
  const int64_t start = s.starts[chunk] + first, last = start + (used - 1) / shared;  // positions
  for (int64_t begin = 0; begin <= last; begin += SEGMENT) {
    const int64_t end = begin + SEGMENT <= last ? begin + SEGMENT : last + 1;
    const int blocks = (end - begin + BLOCK - 1) / BLOCK;
    for (int b = 0; b < blocks; b++) {
      const int64_t page = table[begin / BLOCK + b];
      score<T, N>(packed, words, (const float*)(keys + (page * s.heads + head) * BLOCK * size), scale, scores + b * BLOCK);
    }
    for (int n = 0; n < N; n++) {
      float* row = scores + n * SEGMENT;
      const int64_t seen = start + (n < used ? n : 0) / shared + 1 - begin;  // keys this query may see
      for (int64_t t = seen < 0 ? 0 : seen; t < blocks * BLOCK; t++) row[t] = -3.4e38f;
      if (seen <= 0) { memset(row, 0, blocks * BLOCK * sizeof(float)); continue; }
      floats high = load(row);
      for (int b = 1; b < blocks; b++) { floats x = load(row + b * BLOCK); high = x > high ? x : high; }
      float top = best[n];
      for (int i = 0; i < 16; i++) top = high[i] > top ? high[i] : top;
      const float fade = exponential(splat(best[n] - top))[0];
      floats mass = {};
      for (int b = 0; b < blocks; b++) {
        floats x = exponential(load(row + b * BLOCK) - top);
        if ((b + 1) * BLOCK > seen) for (int i = 0; i < 16; i++) if (b * BLOCK + i >= seen) x[i] = 0;
        mass += x; store(row + b * BLOCK, x);
      }
      float added = 0;
      for (int i = 0; i < 16; i++) added += mass[i];
      sum[n] = sum[n] * fade + added; best[n] = top;
      if (fade != 1.f) for (int d = 0; d < size; d += 16) store(total + n * size + d, load(total + n * size + d) * fade);
      if (per == 2)  // neighbours in memory are the pairs of a word
        for (int b = 0; b < blocks; b++) write16(load(row + b * BLOCK), (bfloat16*)row + b * BLOCK);
    }
    for (int b = 0; b < blocks; b++) {
      const int64_t page = table[begin / BLOCK + b];
      const float* v = (const float*)(values + (page * s.heads + head) * BLOCK * size);
      const float* w = scores + b * BLOCK / per;
      int d = 0;
      for (; d + 64 <= size; d += 64) blend_all<T, N, 4>(w, v + d, size, BLOCK / per, total + d);
      for (; d < size; d += 16) blend_all<T, N, 1>(w, v + d, size, BLOCK / per, total + d);
    }
  }
  for (int n = 0; n < used; n++) {
    T* to = out + (from[n] - query);
    for (int d = 0; d < size; d += 16) write16(load(total + n * size + d) / sum[n], to + d);
  }
}

template <class T>
static void attend(const Step& s, const T* query, const T* keys, const T* values, T* out, float scale) {
  const int64_t fold = s.shared >= TILE ? 1 : TILE / s.shared;  // rows of a tile
  int64_t items = 0;
  for (int64_t c = 0; c < s.chunks; c++) items += (s.counts[c] + fold - 1) / fold;
#pragma omp parallel for schedule(dynamic) if (items * s.heads > 1)
  for (int64_t item = 0; item < items * s.heads; item++) {
    // The longest contexts come last in a step and first here, so that no thread ends alone.
    int64_t tile = items - 1 - item / s.heads, head = item % s.heads, c = 0;
    for (int64_t n; tile >= (n = (s.counts[c] + fold - 1) / fold); c++) tile -= n;
    const int64_t first = tile * fold, rows = s.counts[c] - first < fold ? s.counts[c] - first : fold;
    const int queries = rows * s.shared;
#define TRY(N) if (queries <= N) { attend_tile<T, N>(s, c, head, first, queries, query, keys, values, out, scale); continue; }
    TRY(1) TRY(2) TRY(3) TRY(4) TRY(6) TRY(8) TRY(12) TRY(16) TRY(32)
#undef TRY
  }
}

template <class T>
static void normalize(const T* x, const T* weight, T* y, int64_t rows, int64_t width, float epsilon) {
#pragma omp parallel for if (rows * width > 65536)
  for (int64_t r = 0; r < rows; r++) {
    const T* from = x + r * width;
    floats squares = {};
    for (int64_t i = 0; i < width; i += 16) { floats v = read16(from + i); squares += v * v; }
    float sum = 0;
    for (int i = 0; i < 16; i++) sum += squares[i];
    const float scale = 1.f / __builtin_sqrtf(sum / width + epsilon);
    for (int64_t i = 0; i < width; i += 16)
      write16(read16(weight + i) * round16(read16(from + i) * scale, T()), y + r * width + i);
  }
}

template <class T>
static void gate(const T* gates, const T* ups, T* y, int64_t rows, int64_t width, int64_t stride) {
#pragma omp parallel for if (rows * width > 16384)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < width; i += 16) {
      const floats g = read16(gates + r * stride + i), u = read16(ups + r * stride + i);
      write16(round16(g / (1.f + exponential(-g)), T()) * u, y + r * width + i);
    }
}

// Turns pairs of numbers in place: neighbours (GLM), or halves (Llama).
template <class T>
static void rotate(T* x, const T* cosine, const T* sine, int64_t tokens, int64_t heads, int64_t size,
                   int64_t rotary, int64_t interleaved) {
  const int64_t half = rotary / 2;
#pragma omp parallel for if (tokens * heads * rotary > 65536)
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t h = 0; h < heads; h++) {
      T* row = x + (t * heads + h) * size;
      for (int64_t i = 0; i < half; i++) {
        T *a = row + (interleaved ? 2 * i : i), *b = row + (interleaved ? 2 * i + 1 : i + half);
        const float c = widen(cosine[t * rotary + i]), s = widen(sine[t * rotary + i]);
        const float first = widen(*a), second = widen(*b);
        narrow(first * c - second * s, a);
        narrow(second * c + first * s, b);
      }
    }
}

#define EXPORT(NAME, T)                                                                                        \
  extern "C" void attend_##NAME(const Step* s, const T* q, const T* k, const T* v, T* ks, T* vs, T* o, float scale) { \
    write<T>(*s, k, v, ks, vs); attend<T>(*s, q, ks, vs, o, scale); }                                          \
  extern "C" void normalize_##NAME(const T* x, const T* w, T* y, int64_t r, int64_t n, float e) { normalize<T>(x, w, y, r, n, e); } \
  extern "C" void gate_##NAME(const T* g, const T* u, T* y, int64_t r, int64_t n, int64_t s) { gate<T>(g, u, y, r, n, s); } \
  extern "C" void rotate_##NAME(T* x, const T* c, const T* s, int64_t t, int64_t h, int64_t d, int64_t r, int64_t i) { \
    rotate<T>(x, c, s, t, h, d, r, i); }
EXPORT(float32, float)
EXPORT(bfloat16, bfloat16)
