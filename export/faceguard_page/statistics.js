// The exact test of `keras_imaging.watermark.statistics`: without the mark, every bit of the key is
// that of the logit with probability 1/2, whatever the logits are.

const MEDIAN = 15;
const MOST = 2;

/** How well logits agree with bits: {matches, n, pValue, countPValue, verified}. */
export function softTest(logits, expected, alpha, candidates = 1) {
  const n = expected.length;
  if (logits.length !== n) throw new Error(`Expected ${n} logits. Received: ${logits.length}`);
  matchThreshold(n, alpha, candidates);
  const weights = logitWeights(logits);
  let matches = 0;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    if (logits[i] > 0 !== expected[i] > 0) continue;
    matches += 1;
    sum += weights[i];
  }
  // The coefficients of prod (1 + x^weight) in slots of one large integer.
  const slot = n + 1;
  let product = 1n;
  for (const weight of weights) product += product << BigInt(slot * weight);
  // The digits' sum is the remainder by the largest digit.
  const ways = (product >> BigInt(slot * sum)) % ((1n << BigInt(slot)) - 1n);
  const [numerator, denominator] = integerRatio(alpha);
  return {
    matches,
    n,
    pValue: Math.min(1, (candidates * Number(ways)) / 2 ** n),
    countPValue: Math.min(1, candidates * binomialTail(n, matches)),
    verified: ways * denominator * BigInt(candidates) <= numerator << BigInt(n),
  };
}

/** What each logit counts, 0 to 30: 15 for one of median size, at most twice as much. */
export function logitWeights(logits) {
  const sizes = Float64Array.from(logits, Math.abs);
  if (!sizes.length || !sizes.every(Number.isFinite)) throw new Error("Logits must be finite.");
  const sorted = sizes.toSorted();
  const scale = sorted[sorted.length >> 1] || sorted[sorted.length - 1];
  if (!scale) return Array.from(sizes, () => 0);
  return Array.from(sizes, (size) => Math.floor(MEDIAN * Math.min(size / scale, MOST) + 0.5));
}

/** P[Binomial(n, 1/2) >= k], computed in integers and rounded once; n is below 1024. */
export function binomialTail(n, k) {
  let ways = 0n;
  for (let i = Math.max(k, 0); i <= n; i++) ways += choose(n, i);
  return Number(ways) / 2 ** n;
}

/** The least number of matches that happens by chance at a rate of at most alpha / candidates. */
export function matchThreshold(n, alpha, candidates = 1) {
  const [numerator, denominator] = integerRatio(alpha);
  const limit = numerator << BigInt(n);
  let ways = 0n;
  let k = n + 1;
  for (;;) {
    const more = ways + choose(n, k - 1);
    if (more * denominator * BigInt(candidates) > limit) break;
    ways = more;
    k -= 1;
  }
  if (k > n) throw new Error(`${n} bits cannot give a false-accept rate of ${alpha}.`);
  return k;
}

function choose(n, k) {
  let result = 1n;
  for (let i = 1; i <= k; i++) result = (result * BigInt(n - i + 1)) / BigInt(i);
  return result;
}

/** A fraction between 0 and 1 as two integers; floats are binary, so this ends. */
function integerRatio(value) {
  if (!(value > 0 && value < 1)) throw new Error(`Expected alpha in 0..1. Received: ${value}`);
  let denominator = 1n;
  while (!Number.isInteger(value)) {
    value *= 2;
    denominator *= 2n;
  }
  return [BigInt(value), denominator];
}
