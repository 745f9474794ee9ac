// Rows of halves to floats and back. Compilers turn them one by one.

#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

typedef int64_t count;
typedef _Float16 half;

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
