/** What the examples train, in numbers. */

export const SEED = 1;
// With a small training set, overfitting, which decay is meant to reduce, shows within seconds.
export const TRAIN_SIZE = 4000;
export const HELD_OUT_SIZE = 2000;
export const EPOCHS = 8;
export const BATCH = 32;
export const LEARNING_RATE = 4e-3;
/** λ. */
export const WEIGHT_DECAY = 0.1;
