// A perceptron with its own linear memory and heap. It computes gradients and has no optimizer.

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

// --- Heap: each block has its size in front of it; freed blocks are in a list; memory grows when none in the list is large enough.

typedef struct Block {
  size_t size;
  struct Block *next;
} Block;

enum { HEADER = 16, PAGE = 65536 };

extern unsigned char __heap_base;
static Block *freed;
static uintptr_t top;

void *EXPORT(allocate)(size_t size) {
  size = (size + HEADER - 1) / HEADER * HEADER;
  for (Block **link = &freed; *link; link = &(*link)->next) {
    Block *block = *link;
    if (block->size < size) continue;
    *link = block->next;
    return (char *)block + HEADER;
  }
  if (!top) top = ((uintptr_t)&__heap_base + HEADER - 1) / HEADER * HEADER;
  uintptr_t end = top + HEADER + size;
  uintptr_t have = __builtin_wasm_memory_size(0) * PAGE;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == (size_t)-1) __builtin_trap();
  Block *block = (Block *)top;
  block->size = size;
  top = end;
  return (char *)block + HEADER;
}

void EXPORT(release)(void *memory) {
  Block *block = (Block *)((char *)memory - HEADER);
  block->next = freed;
  freed = block;
}

static float *floats(size_t count) {
  float *values = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++) values[i] = 0;
  return values;
}

// --- Network: layers of y = Wx + b with ReLU between them, squared error at the end.

// Read by JavaScript as three 32-bit integers: two addresses and a length.
typedef struct {
  float *value;
  float *grad;
  uint32_t length;
} Tensor;

typedef struct {
  uint32_t in, out;
  float *outputs;  // of one example
  float *upstream; // derivative of the loss with respect to each output
} Layer;

typedef struct {
  uint32_t layers;
  Layer *layer;
  Tensor *tensors; // weights and bias of each layer in turn; weights[o * in + i]
} Net;

static Tensor tensor(uint32_t length) { return (Tensor){floats(length), floats(length), length}; }

static float uniform(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

// sizes: inputs, units of each hidden layer, outputs. seed: not 0.
Net *EXPORT(net_create)(const uint32_t *sizes, uint32_t count, uint32_t seed) {
  Net *net = allocate(sizeof(Net));
  net->layers = count - 1;
  net->layer = allocate(net->layers * sizeof(Layer));
  net->tensors = allocate(2 * net->layers * sizeof(Tensor));
  for (uint32_t l = 0; l < net->layers; l++) {
    uint32_t in = sizes[l], out = sizes[l + 1];
    net->layer[l] = (Layer){in, out, floats(out), floats(out)};
    net->tensors[2 * l] = tensor(in * out);
    net->tensors[2 * l + 1] = tensor(out);
    float bound = __builtin_sqrtf(6.0f / (float)in);
    for (uint32_t i = 0; i < in * out; i++) net->tensors[2 * l].value[i] = bound * uniform(&seed);
  }
  return net;
}

Tensor *EXPORT(net_tensors)(Net *net) { return net->tensors; }

uint32_t EXPORT(net_tensor_count)(Net *net) { return 2 * net->layers; }

static float *forward(Net *net, const float *x) {
  for (uint32_t l = 0; l < net->layers; l++) {
    Layer *layer = &net->layer[l];
    const float *w = net->tensors[2 * l].value, *b = net->tensors[2 * l + 1].value;
    for (uint32_t o = 0; o < layer->out; o++) {
      float sum = b[o];
      for (uint32_t i = 0; i < layer->in; i++) sum += w[o * layer->in + i] * x[i];
      layer->outputs[o] = sum > 0 || l + 1 == net->layers ? sum : 0;
    }
    x = layer->outputs;
  }
  return (float *)x;
}

// Adds to the gradients, given upstream derivatives at the last layer.
static void backward(Net *net, const float *input) {
  for (uint32_t l = net->layers; l-- > 0;) {
    Layer *layer = &net->layer[l];
    const float *x = l ? net->layer[l - 1].outputs : input;
    float *down = l ? net->layer[l - 1].upstream : NULL;
    const Tensor *w = &net->tensors[2 * l], *b = &net->tensors[2 * l + 1];
    for (uint32_t i = 0; down && i < layer->in; i++) down[i] = 0;
    for (uint32_t o = 0; o < layer->out; o++) {
      float up = layer->upstream[o];
      if (up == 0) continue;
      b->grad[o] += up;
      for (uint32_t i = 0; i < layer->in; i++) w->grad[o * layer->in + i] += up * x[i];
      for (uint32_t i = 0; down && i < layer->in; i++) down[i] += up * w->value[o * layer->in + i];
    }
    for (uint32_t i = 0; down && i < layer->in; i++) down[i] = x[i] > 0 ? down[i] : 0;
  }
}

// Mean squared error over the examples; adds its gradients to the present ones.
float EXPORT(net_loss)(Net *net, const float *inputs, const float *targets, uint32_t examples) {
  Layer *last = &net->layer[net->layers - 1];
  float loss = 0;
  for (uint32_t e = 0; e < examples; e++) {
    const float *x = inputs + e * net->layer[0].in;
    const float *y = forward(net, x);
    for (uint32_t o = 0; o < last->out; o++) {
      float error = y[o] - targets[e * last->out + o];
      loss += error * error / (float)examples;
      last->upstream[o] = 2 * error / (float)examples;
    }
    backward(net, x);
  }
  return loss;
}

void EXPORT(net_predict)(Net *net, const float *inputs, float *outputs, uint32_t examples) {
  for (uint32_t e = 0; e < examples; e++) {
    const float *y = forward(net, inputs + e * net->layer[0].in);
    for (uint32_t o = 0; o < net->layer[net->layers - 1].out; o++) *outputs++ = y[o];
  }
}
