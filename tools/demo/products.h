// Matrix products of half-precision numbers (AVX512-FP16), about twice as fast as those of floats.
//
// A register holds 16 columns of two neighbouring terms each: one factor is broadcast two numbers at a
// time, the other is packed in panels of 16 columns, [panel][pair of terms][column][2]. Sums of a few
// hundred terms are halves, where there may be more than CHUNK floats beyond. All matrices are of rows;
// numbers of terms are even.

#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "halves.h"

inline int threads = 1;  // that share the work, 8 at most
inline thread_local int slot = 0;

template <class Number>
Number* keep(std::vector<Number>& own, count size) {
  if (count(own.size()) < size + 64) own.resize(size + 64);
  return own.data();
}

// Room of this thread, kept from call to call.
inline half* buffer(int which, count size) {
  static std::vector<half> kept[8][19];
  return keep(kept[slot][which], size);
}
inline float* floats(int which, count size) {
  static std::vector<float> kept[8][2];
  return keep(kept[slot][which], size);
}

namespace {

const count COLUMNS = 16, ROWS = 8, CHUNK = 512, BLOCK = 64, LONGEST = 4096;

count panels(count columns) { return (columns + COLUMNS - 1) / COLUMNS; }

// Calls work(i) for each i below `threads`, all at once.
template <class Work>
void share(const Work& work) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; i++) others.emplace_back([&work, i] { slot = i, work(i); });
  work(0);
  for (std::thread& other : others) other.join();
}

// Where the part of thread i of n things begins.
count part(count n, count i) { return n * i / threads; }

// Sums for thread i: `out` itself for the first thread, zeros for the others, added by `gather`.
struct Sums {
  std::vector<std::vector<float>> kept;
  float* out;
  count size;
  Sums(float* out, count size) : kept(threads), out(out), size(size) {}
  float* own(int i) {
    if (i > 0) kept[i].assign(size, 0);
    return i > 0 ? kept[i].data() : out;
  }
  void gather() {
    for (int i = 1; i < threads; i++)
      for (count j = 0; j < size; j++) out[j] += kept[i][j];
  }
};

// One factor: of term pair k, row r is at first[r * row + k * pair].
struct Left { const half* first; count row, pair; };

// Where results go: to halves, to floats, or added to floats times `scale`.
struct Halves {
  half* first; count row; const float* bias;
  void skip(count rows) { first += rows * row; }
  void put(count r, count c, __mmask16 mask, __m256h sum) const {
    if (bias)
      sum = _mm512_cvtxps_ph(_mm512_add_ps(_mm512_cvtxph_ps(sum), _mm512_maskz_loadu_ps(mask, bias + c)));
    _mm256_mask_storeu_epi16(first + r * row + c, mask, (__m256i)sum);
  }
};
struct Kept : Halves {};  // whose place is not in the cache yet
struct Added {
  float* first; count row; float scale;
  void skip(count rows) { first += rows * row; }
  void put(count r, count c, __mmask16 mask, __m256h sum) const {
    float* at = first + r * row + c;
    __m512 old = _mm512_maskz_loadu_ps(mask, at);
    _mm512_mask_storeu_ps(at, mask, _mm512_fmadd_ps(_mm512_cvtxph_ps(sum), _mm512_set1_ps(scale), old));
  }
};
struct Plus {  // first = sum + old
  float* first; const float* old; count row;
  void skip(count rows) { first += rows * row, old += rows * row; }
  void put(count r, count c, __mmask16 mask, __m256h sum) const {
    __m512 before = _mm512_maskz_loadu_ps(mask, old + r * row + c);
    _mm512_mask_storeu_ps(first + r * row + c, mask, _mm512_add_ps(_mm512_cvtxph_ps(sum), before));
  }
};
struct Mixed {  // first = sum * scale + old * share
  half* first; const half* old; count row; float scale, share;
  void skip(count rows) { first += rows * row, old += rows * row; }
  void put(count r, count c, __mmask16 mask, __m256h sum) const {
    __m512 before = _mm512_cvtxph_ps((__m256h)_mm256_maskz_loadu_epi16(mask, old + r * row + c));
    __m512 now = _mm512_fmadd_ps(_mm512_cvtxph_ps(sum), _mm512_set1_ps(scale), _mm512_mul_ps(before, _mm512_set1_ps(share)));
    _mm256_mask_storeu_epi16(first + r * row + c, mask, (__m256i)_mm512_cvtxps_ph(now));
  }
};

// Asks for the places of the next rows while these are computed, where they are far away.
template <class Out>
void fetch(const Out&, count, count) {}
inline void fetch(Kept out, count rows, count columns) {
  for (count r = 0; r < rows; r++)
    for (count c = 0; c < columns; c += 32) __builtin_prefetch(out.first + r * out.row + c, 1);
}

// The sums of both terms of a pair.
inline __m256h fold(__m512h x) {
  __m512h other = (__m512h)_mm512_rol_epi32((__m512i)x, 16);
  return (__m256h)_mm512_cvtepi32_epi16((__m512i)_mm512_add_ph(x, other));
}

template <int R, int C, class Out>
inline void tile(Left a, const half* b, count panel, count pairs, const Out& out, count row, count column,
                 count columns) {
  __m512h sums[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sums[r][c] = _mm512_setzero_ph();
  for (count k = 0; k < pairs; k++) {
    __m512h other[C];
    for (int c = 0; c < C; c++) other[c] = _mm512_loadu_ph(b + c * panel + k * 2 * COLUMNS);
    for (int r = 0; r < R; r++) {
      float both;
      memcpy(&both, a.first + r * a.row + k * a.pair, 4);
      __m512h one = (__m512h)_mm512_set1_ps(both);
      for (int c = 0; c < C; c++) sums[r][c] = _mm512_fmadd_ph(one, other[c], sums[r][c]);
    }
  }
  for (int c = 0; c < C; c++) {
    count at = column + c * COLUMNS, left = columns - at;
    __mmask16 mask = first(left);
    for (int r = 0; r < R; r++) out.put(row + r, at, mask, fold(sums[r][c]));
  }
}

template <int C, class Out>
inline void down(Left a, const half* b, count panel, count pairs, const Out& out, count rows, count column,
                 count columns) {
  count r = 0;
  auto at = [&](count row) { return Left{a.first + row * a.row, a.row, a.pair}; };
  for (; r + 8 <= rows; r += 8) tile<8, C>(at(r), b, panel, pairs, out, r, column, columns);
  if (r + 4 <= rows) { tile<4, C>(at(r), b, panel, pairs, out, r, column, columns); r += 4; }
  if (r + 2 <= rows) { tile<2, C>(at(r), b, panel, pairs, out, r, column, columns); r += 2; }
  if (r < rows) tile<1, C>(at(r), b, panel, pairs, out, r, column, columns);
}

// `rows` rows of `a` times packed `b`, of which a panel holds `panel` numbers.
template <class Out>
void multiply(Left a, const half* b, count panel, count pairs, Out out, count rows, count columns) {
  for (; rows > 0; rows -= BLOCK, a.first += BLOCK * a.row, out.skip(BLOCK)) {
    count n = panels(columns), p = 0, some = rows < BLOCK ? rows : BLOCK;
    Out next = out;
    next.skip(BLOCK);
    fetch(next, std::min(BLOCK, rows - some), columns);
    for (; p + 3 <= n; p += 3) down<3>(a, b + p * panel, panel, pairs, out, some, p * COLUMNS, columns);
    if (p + 2 == n) down<2>(a, b + p * panel, panel, pairs, out, some, p * COLUMNS, columns);
    if (p + 1 == n) down<1>(a, b + p * panel, panel, pairs, out, some, p * COLUMNS, columns);
  }
}

// Packs [columns, terms], whose rows begin every `row` numbers: a product with its transpose follows.
void pack_across(const half* from, count row, count columns, count terms, half* to) {
  __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  places = _mm512_mullo_epi32(places, _mm512_set1_epi32(row * 2));
  for (count c = 0; c < columns; c += COLUMNS, from += COLUMNS * row)
    for (count k = 0; k < terms; k += 2, to += 2 * COLUMNS)
      _mm512_storeu_si512(to, _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), first(columns - c), places, from + k, 1));
}

void pack_across(const float* from, count row, count columns, count terms, half* to) {
  half* narrowed = buffer(18, columns * row);
  narrow(from, narrowed, columns * row);
  pack_across(narrowed, row, columns, terms, to);
}

inline __m256i halves(const half* from, __mmask16 mask) { return _mm256_maskz_loadu_epi16(mask, from); }
inline __m256i halves(const float* from, __mmask16 mask) {
  return (__m256i)_mm512_cvtxps_ph(_mm512_maskz_loadu_ps(mask, from));
}

// Packs [terms, columns]: a product with it follows.
template <class Number>
void pack_down(const Number* from, count row, count terms, count columns, half* to) {
  for (count p = 0; p < panels(columns); p++) {
    count left = columns - p * COLUMNS;
    __mmask16 mask = first(left);
    for (count k = 0; k < terms; k += 2, to += 2 * COLUMNS) {
      __m512i one = _mm512_cvtepu16_epi32(halves(from + k * row + p * COLUMNS, mask));
      __m512i two = _mm512_cvtepu16_epi32(halves(from + (k + 1) * row + p * COLUMNS, mask));
      _mm512_storeu_si512(to, _mm512_or_si512(one, _mm512_slli_epi32(two, 16)));
    }
  }
}

// Adds the transpose of `one` [terms, rows] times `other` [terms, columns]. Both are packed, so that
// each pair of terms of a row lies together. Where `is_causal`, terms before a row's own are zero.
template <class Out>
void multiply_turned(const half* one, count of_one, const half* other, count of_other, count terms, count rows,
                     count columns, const Out& out, bool is_causal = false) {
  half* left = buffer(0, panels(rows) * COLUMNS * terms);
  half* right = buffer(1, panels(columns) * COLUMNS * terms);
  pack_down(one, of_one, terms, rows, left);
  pack_down(other, of_other, terms, columns, right);
  for (count p = 0; p < panels(rows); p++) {
    Out part = out;
    part.first += p * COLUMNS * out.row;
    count skipped = is_causal ? p * COLUMNS : 0;
    Left a{left + p * COLUMNS * terms + skipped * COLUMNS, 2, 2 * COLUMNS};
    count some = rows - p * COLUMNS < COLUMNS ? rows - p * COLUMNS : COLUMNS;
    multiply(a, right + skipped * COLUMNS, COLUMNS * terms, (terms - skipped) / 2, part, some, columns);
  }
}

void add_turned(const half* one, count of_one, const half* other, count of_other, count terms, count rows,
                count columns, float* out, float scale, bool is_causal = false) {
  if (terms <= CHUNK)
    return multiply_turned(one, of_one, other, of_other, terms, rows, columns, Added{out, columns, scale}, is_causal);
  for (count t = 0; t < terms; t += CHUNK) {
    count some = terms - t < CHUNK ? terms - t : CHUNK;
    multiply_turned(one + t * of_one, of_one, other + t * of_other, of_other, some, rows, columns,
                    Added{out, columns, scale});
  }
}

// The weight of a product with its transpose, packed: weight [columns, terms].
half* pack_rows(int which, const float* weight, count columns, count terms) {
  half* to = buffer(which, panels(columns) * COLUMNS * terms);
  pack_across(weight, terms, columns, terms, to);
  return to;
}

// That of a product with it: weight [terms, columns].
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
