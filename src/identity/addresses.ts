/** How many of the eight 16-bit groups of an IPv6 address form its /64 network. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;
const IPV4 = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/;
/** An IPv6 network as {@link countedAddress} returns it, with the groups of its first 48 bits captured. */
const IPV6_NETWORK = /^([\da-f]{1,4}(?::[\da-f]{1,4}){2}):[\da-f]{1,4}::\/64$/;

/**
 * Returns the address by which limits count a caller: an IPv4 address unchanged, and the /64 network of an IPv6 address, since a single host can use every
 * address of that network. An IPv4 address mapped into IPv6 counts as the IPv4 address.
 */
export function countedAddress(address: string): string {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) {
    return mapped ?? address;
  }
  const [before = '', after] = address.toLowerCase().split('::');
  const [head, tail] = [before, after ?? ''].map((part) => part.split(':').filter((group) => group !== ''));
  const gap = after === undefined ? 0 : Math.max(0, GROUPS - (head?.length ?? 0) - (tail?.length ?? 0));
  const groups = [...(head ?? []), ...Array<string>(gap).fill('0'), ...(tail ?? [])];
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}

/** Returns the network of an address that {@link countedAddress} returned, like `203.0.113.0/24` or `2001:db8:1::/48`; null for any other text. */
export function networkOf(address: string): string | null {
  const ipv4 = IPV4.exec(address)?.[1];
  const ipv6 = IPV6_NETWORK.exec(address)?.[1];
  if (ipv4 !== undefined) {
    return `${ipv4}.0/24`;
  }
  return ipv6 === undefined ? null : `${ipv6}::/48`;
}
