// AdamW with 256-bit vectors and fused multiply-adds, for comparison: a range of elements, eight at a time.
#pragma once
#include <immintrin.h>
#include <cmath>
#include <cstddef>

#define AVX2_FMA __attribute__((target("avx2,fma")))

struct Regions {
  float *param, *grad, *expAvg, *expAvgSq;
};

struct Constants {
  float beta1, oneMinusBeta1, beta2, oneMinusBeta2, stepSize, rsqrtBiasCorrection2, eps, decay;

  Constants(double lr, double b1, double b2, double epsilon, double weightDecay, double step)
      : beta1(b1), oneMinusBeta1(1 - b1), beta2(b2), oneMinusBeta2(1 - b2), stepSize(lr / (1 - std::pow(b1, step))),
        rsqrtBiasCorrection2(1 / std::sqrt(1 - std::pow(b2, step))), eps(epsilon), decay(1 - lr * weightDecay) {}
};

AVX2_FMA inline void adamw_scalar(const Regions& r, std::size_t i, const Constants& c) {
  const float g = r.grad[i];
  const float m = std::fma(r.expAvg[i], c.beta1, g * c.oneMinusBeta1);
  const float v = std::fma(r.expAvgSq[i], c.beta2, c.oneMinusBeta2 * g * g);
  r.expAvg[i] = m;
  r.expAvgSq[i] = v;
  r.param[i] = r.param[i] * c.decay - c.stepSize * m / std::fma(std::sqrt(v), c.rsqrtBiasCorrection2, c.eps);
}

AVX2_FMA inline void adamw(const Regions& r, std::size_t begin, std::size_t end, const Constants& c) {
  const __m256 b1 = _mm256_set1_ps(c.beta1), c1 = _mm256_set1_ps(c.oneMinusBeta1);
  const __m256 b2 = _mm256_set1_ps(c.beta2), c2 = _mm256_set1_ps(c.oneMinusBeta2);
  const __m256 stepSize = _mm256_set1_ps(c.stepSize), rsqrt = _mm256_set1_ps(c.rsqrtBiasCorrection2);
  const __m256 eps = _mm256_set1_ps(c.eps), decay = _mm256_set1_ps(c.decay);
  std::size_t i = begin;
#pragma GCC unroll 4
  for (; i + 8 <= end; i += 8) {
    const __m256 g = _mm256_load_ps(r.grad + i);
    const __m256 m = _mm256_fmadd_ps(_mm256_load_ps(r.expAvg + i), b1, _mm256_mul_ps(g, c1));
    const __m256 v = _mm256_fmadd_ps(_mm256_load_ps(r.expAvgSq + i), b2, _mm256_mul_ps(_mm256_mul_ps(c2, g), g));
    _mm256_store_ps(r.expAvg + i, m);
    _mm256_store_ps(r.expAvgSq + i, v);
    const __m256 denom = _mm256_fmadd_ps(_mm256_sqrt_ps(v), rsqrt, eps);
    const __m256 update = _mm256_div_ps(_mm256_mul_ps(stepSize, m), denom);
    _mm256_store_ps(r.param + i, _mm256_fmsub_ps(_mm256_load_ps(r.param + i), decay, update));
  }
  for (; i < end; i++) adamw_scalar(r, i, c);
}

// Four loads and three stores per element, values unchanged; `seen` keeps the compiler from removing the gradient's loads.
AVX2_FMA inline void load_store(const Regions& r, std::size_t begin, std::size_t end, volatile float* seen) {
  __m256 all = _mm256_setzero_ps();
  for (std::size_t i = begin; i + 8 <= end; i += 8) {
    const __m256 p = _mm256_load_ps(r.param + i), m = _mm256_load_ps(r.expAvg + i), v = _mm256_load_ps(r.expAvgSq + i);
    all = _mm256_or_ps(all, _mm256_load_ps(r.grad + i));
    // Hides from the compiler that every store writes what is already there.
    __m256 p2 = p, m2 = m, v2 = v;
    __asm__("" : "+x"(p2), "+x"(m2), "+x"(v2));
    _mm256_store_ps(r.param + i, p2);
    _mm256_store_ps(r.expAvg + i, m2);
    _mm256_store_ps(r.expAvgSq + i, v2);
  }
  *seen = _mm256_cvtss_f32(all);
}
