/** How many of its eight groups of 16 bits name the network of an IPv6 address. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;
const IPV4 = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/;
/** An IPv6 network as {@link countedAddress} gives it, and the groups of its first 48 bits. */
const IPV6_NETWORK = /^([\da-f]{1,4}(?::[\da-f]{1,4}){2}):[\da-f]{1,4}::\/64$/;

/**
 * The address by which a caller is counted: an IPv4 address as it is, and of an IPv6 address the first 64 bits, since a single host has all
 * the others to choose from. IPv4 addresses are the same whether they come as such or mapped into IPv6.
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

/** The network of an address of {@link countedAddress}: `203.0.113.0/24`, `2001:db8:1::/48`; null for a text that is no address. */
export function networkOf(address: string): string | null {
  const ipv4 = IPV4.exec(address)?.[1];
  const ipv6 = IPV6_NETWORK.exec(address)?.[1];
  if (ipv4 !== undefined) {
    return `${ipv4}.0/24`;
  }
  return ipv6 === undefined ? null : `${ipv6}::/48`;
}
