// Rows of halves to floats and back (compilers turn them one by one), and powers of e.

#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

typedef int64_t count;
typedef _Float16 half;

extern "C" {  // of kernels.cpp, which says what they take
void norm(const float*, const float*, half*, float*, count, count, float);
void norm_back(const half*, const float*, const float*, const float*, const float*, float*, float*, count, count);
}

static inline __mmask16 first(count n) { return n >= 16 ? 0xffff : (1 << n) - 1; }

static inline __m512 load(const half* from, __mmask16 mask) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
}

static inline void save(half* to, __mmask16 mask, __m512 some) {
  _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtxps_ph(some));
}

static inline void widen(const half* from, float* to, count n) {
  for (count i = 0; i < n; i += 16) {
    __mmask16 mask = first(n - i);
    _mm512_mask_storeu_ps(to + i, mask, load(from + i, mask));
  }
}

static inline void narrow(const float* from, half* to, count n, float scale = 1) {
  for (count i = 0; i < n; i += 16) {
    __mmask16 mask = first(n - i);
    save(to + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), _mm512_set1_ps(scale)));
  }
}

// e to each power, to five digits. Left to itself, GCC calls a function for each vector.
static inline __m512 power(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-87), x);
  __m512 whole = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
  __m512 rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
  rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), rest);
  __m512 sum = _mm512_set1_ps(1 / 120.f);
  const float terms[] = {1 / 24.f, 1 / 6.f, 0.5f, 1, 1};
  for (float term : terms) sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(term));
  return _mm512_scalef_ps(sum, whole);
}

static inline __m512 sigmoid(__m512 x) {
  return _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1), power(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}
