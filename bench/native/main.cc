// Takes steps on command, and otherwise sleeps in a read. Commands, one per line on standard input, each with an answer:
//   open <length> <period> <lr> <beta1> <beta2> <eps> <weight decay>, then <period> parameters and as many gradients as float32
//   time <adamw|load_store> <threads> <calls>   nanoseconds per call, the median over batches
//   read <0 param, 1 expAvg, 2 expAvgSq>        <length> float32
//   cpu                                         milliseconds of processor time so far
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>
#include "kernels.h"

// A second thread, which sleeps between calls.
class Second {
 public:
  Second() : thread_([this] { loop(); }) {}
  ~Second() {
    task_ = nullptr;
    begin();
    thread_.join();
  }
  // Runs `first` on the caller and `second` on the second thread.
  void run(const std::function<void()>& first, const std::function<void()>& second) {
    task_ = second;
    begin();
    first();
    while (done_.load(std::memory_order_acquire) != started_.load(std::memory_order_relaxed)) _mm_pause();
  }

 private:
  void begin() {
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_one();
  }
  void loop() {
    _mm_setcsr(_mm_getcsr() | 0x8040);
    for (int seen = 0;; seen++) {
      started_.wait(seen, std::memory_order_acquire);
      if (!task_) return;
      task_();
      done_.store(seen + 1, std::memory_order_release);
    }
  }
  std::function<void()> task_;
  std::atomic<int> started_{0}, done_{0};
  std::thread thread_;
};

struct Model {
  std::size_t length = 0;
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weightDecay = 0, step = 0;
  Regions at{};
  float* memory = nullptr;

  ~Model() { std::free(memory); }

  void open(std::istream& line) {
    std::size_t period;
    line >> length >> period >> lr >> beta1 >> beta2 >> eps >> weightDecay;
    // Regions 17 cache lines off a multiple of 4 KiB from each other, as in the package: otherwise loads wait for stores.
    const std::size_t stride = (length + 1023) / 1024 * 1024 + 17 * 16;
    memory = static_cast<float*>(std::aligned_alloc(4096, (4 * stride * sizeof(float) + 4095) / 4096 * 4096));
    if (memory == nullptr) std::exit(2);
    std::memset(memory, 0, 4 * stride * sizeof(float));
    at = {memory, memory + stride, memory + 2 * stride, memory + 3 * stride};
    for (float* region : {at.param, at.grad}) {
      std::vector<float> values(period);
      if (std::fread(values.data(), sizeof(float), period, stdin) != period) std::exit(3);
      for (std::size_t i = 0; i < length; i++) region[i] = values[i % period];
    }
    step = 0;
  }
};

static volatile float seen;

static void once(Model& model, const std::string& kernel, Second* second) {
  const Constants c(model.lr, model.beta1, model.beta2, model.eps, model.weightDecay, kernel == "adamw" ? ++model.step : 1);
  const auto range = [&](std::size_t begin, std::size_t end) {
    if (kernel == "adamw") adamw(model.at, begin, end, c);
    else load_store(model.at, begin, end, &seen);
  };
  const std::size_t middle = model.length / 2 / 16 * 16;
  // Waking the thread would take longer than the step.
  if (second == nullptr || model.length < 16384) range(0, model.length);
  else second->run([&] { range(middle, model.length); }, [&] { range(0, middle); });
}

static double timed(Model& model, const std::string& kernel, Second* second, long calls) {
  using clock = std::chrono::steady_clock;
  std::vector<double> times;
  const long size = (calls + 15) / 16;
  for (long left = calls; left > 0; left -= size) {
    const auto start = clock::now();
    for (long i = 0; i < size; i++) once(model, kernel, second);
    times.push_back(std::chrono::duration<double, std::nano>(clock::now() - start).count() / size);
  }
  std::sort(times.begin(), times.end());
  const std::size_t n = times.size();
  return (times[(n - 1) / 2] + times[n / 2]) / 2;
}

int main() {
  __builtin_cpu_init();
  const bool able = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  std::printf("%s\n", able ? "ready" : "a processor without AVX2 and FMA");
  std::fflush(stdout);
  if (!able) return 0;
  // Subnormals are zero, as after the package's flush.
  _mm_setcsr(_mm_getcsr() | 0x8040);

  Model model;
  Second* second = nullptr;
  char text[512];
  while (std::fgets(text, sizeof text, stdin) != nullptr) {
    std::istringstream line(text);
    std::string word;
    line >> word;
    if (word == "open") {
      model.open(line);
      std::printf("open\n");
    } else if (word == "time") {
      std::string kernel;
      int threads;
      long calls;
      line >> kernel >> threads >> calls;
      if (threads == 2 && second == nullptr) second = new Second;
      std::printf("%.3f\n", timed(model, kernel, threads == 2 ? second : nullptr, calls));
    } else if (word == "read") {
      int region;
      line >> region;
      float* values = region == 0 ? model.at.param : region == 1 ? model.at.expAvg : model.at.expAvgSq;
      std::fwrite(values, sizeof(float), model.length, stdout);
    } else if (word == "cpu") {
      std::printf("%.0f\n", 1000.0 * std::clock() / CLOCKS_PER_SEC);
    } else {
      return 4;
    }
    std::fflush(stdout);
  }
  delete second;
}
