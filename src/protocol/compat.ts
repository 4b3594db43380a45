// What depends on the peer's software, by its identification line (RFC 4253 §4.2), as in OpenSSH's compat.c: for peers
// that cannot be changed any more.

/**
 * Clients that are not told: those that OpenSSH does not tell either because they end at it (TeraTerm, Cisco), and
 * those that answer it although no reply is wanted (dropbear up to 2020.81, phpseclib 1 and 2), which could pass for
 * the answer to a question of ours. None of them would learn a key by it.
 */
const UNTOLD =
  /^SSH-2\.0-(?:Cisco-1\.|TeraTerm SSH|TTSSH\/(?:1\.5\.|2\.[1-6]|2\.7[0-2])|dropbear_(?:0\.|20(?:1\d|20)\.)|phpseclib_[12]\.)/;

/** Whether a client is told our host keys. */
export const takesHostKeys = (ident: string): boolean => !UNTOLD.test(ident);

/** Whether a peer takes eow@openssh.com: OpenSSH does, from version 5 on, and others may take it for a fault. */
export const takesEow = (ident: string): boolean => /^SSH-2\.0-OpenSSH_(?![2-4](?!\d))/.test(ident);

/**
 * Whether it is known to answer at once, always: it is judged by that from the start, whether it has been asked yet or
 * not.
 */
export const answersAtOnce = (ident: string): boolean => /^SSH-2\.0-(?:OpenSSH|cordboard)_/.test(ident);

/**
 * Whether we may begin an exchange of keys by time. VS Code's tunnels in TypeScript end at one that the other side
 * begins ("Key exchange was not started."). OpenSSH begins none by time, so neither do we with them; by the bytes under
 * one key (RFC 4253 §9) we do, since there the keys are at stake.
 */
export const takesNewKeys = (ident: string): boolean => !/^SSH-2\.0-(?:dev-tunnels-ssh|vs-ssh)_/.test(ident);
