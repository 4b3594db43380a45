// What another host calls itself or somebody else, checked before it is printed, announced or compared: names and addresses.
import { isIP } from 'node:net';

/**
 * A host name that may stand in a command line and in known_hosts: letters, digits, ".", "-", "_", and "~" as in `name~1` of a
 * switchboard; none that a shell or ssh would take for something else ("-oProxyCommand=…", "~root"). At most 253 characters (RFC 1035).
 */
export const isHostName = (text: string): boolean => /^[A-Za-z0-9_][A-Za-z0-9._~-]{0,252}$/.test(text);

/** An address, as digits. */
export const isAddress = (text: string): boolean => isIP(text) !== 0;

/** One that clients can connect to: 1 to 65535. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 0xffff;
