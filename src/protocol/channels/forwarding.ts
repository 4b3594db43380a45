// Payloads of port forwarding (RFC 4254 §7) and of OpenSSH's Unix-socket forwarding (PROTOCOL §2.4).
import type { Fields, Layout } from '../wire/codec.ts';

const layout = <const L extends Layout>(fields: L): L => fields;

/** Global request `tcpip-forward` and `cancel-tcpip-forward`. */
export const TCPIP_FORWARD = layout({ host: 'text', port: 'uint32' });
/** The reply to `tcpip-forward`, only where port 0 was asked for. */
export const FORWARDED_PORT = layout({ port: 'uint32' });
/** Channel `direct-tcpip`: where to, and who asks; nobody looks the latter up. */
export const DIRECT_TCPIP = layout({ host: 'text', port: 'uint32', originHost: 'prose', originPort: 'uint32' });
/** Channel `forwarded-tcpip`: what was asked for with `tcpip-forward`, to the letter, and who calls. */
export const FORWARDED_TCPIP = DIRECT_TCPIP;
/** Global request `streamlocal-forward@openssh.com` and its cancellation. */
export const STREAMLOCAL_FORWARD = layout({ path: 'text' });
/** Channel `direct-streamlocal@openssh.com`. */
export const DIRECT_STREAMLOCAL = layout({ path: 'text', reserved: 'string', reservedPort: 'uint32' });
/** Channel `forwarded-streamlocal@openssh.com`. */
export const FORWARDED_STREAMLOCAL = layout({ path: 'text', reserved: 'string' });

/** The payload of a `direct-tcpip` or `forwarded-tcpip` channel; names and ports are untrusted, ports any uint32. */
export type DirectTcpip = Fields<typeof DIRECT_TCPIP>;
/** The payload of `tcpip-forward`: where to listen ("" is everywhere, "localhost" loopback, RFC 4254 §7.1); port 0 is any. */
export type TcpipForward = Fields<typeof TCPIP_FORWARD>;
