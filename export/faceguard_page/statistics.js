// The exact test of `keras_imaging.watermark.statistics`: without the mark, the number of matching
// bits is Binomial(n, 1/2).

/** How well bits match: {matches, n, pValue, verified, threshold}. */
export function matchTest(extracted, expected, alpha, candidates = 1) {
  const n = expected.length;
  if (extracted.length !== n) {
    throw new Error(`Expected ${n} bits. Received: ${extracted.length}`);
  }
  const matches = expected.reduce((sum, bit, i) => sum + (bit === extracted[i] ? 1 : 0), 0);
  const threshold = matchThreshold(n, alpha, candidates);
  const pValue = Math.min(1, candidates * binomialTail(n, matches));
  return { matches, n, pValue, verified: matches >= threshold, threshold };
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
