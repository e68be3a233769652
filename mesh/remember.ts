/** Maps that forget: what is bounded in number, and nobody misses when it is gone. */

/** Sets what is known under a key; when that makes more than `max`, the oldest is forgotten. */
export function remember<K, V>(known: Map<K, V>, key: K, value: V, max: number): void {
  known.set(key, value);
  const [oldest] = known.keys();
  if (known.size > max && oldest !== undefined) known.delete(oldest);
}
