// What a file is that was given as a private key and is in no form that we read, and how its owner makes one of it.

/** One sentence about the file whose first key, or whose whole text if there is none, begins `text`. */
export function foreignFormat(text: string): string {
  if (text === '') return 'the private key file is empty';
  for (const [pattern, sentence] of FORMATS) if (pattern.test(text)) return sentence;
  return 'this is not a private key: the file has no line like "-----BEGIN OPENSSH PRIVATE KEY-----"';
}

/** Most specific first. */
const FORMATS: readonly (readonly [RegExp, string])[] = [
  [
    /^-----BEGIN DSA PRIVATE KEY-----/,
    'the private key is a DSA key, which is too weak: make a new one with ssh-keygen -t ed25519',
  ],
  [
    /^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/,
    'the private key is in a form that is not supported: convert it with ssh-keygen -p -f FILE',
  ],
  [
    /^PuTTY-User-Key-File-/,
    'the private key is in PuTTY form: convert it with puttygen FILE -O private-openssh-new -o NEWFILE',
  ],
  [
    /^---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----/,
    'the private key is in the form of ssh.com: convert it with ssh-keygen -i -f FILE',
  ],
  [
    /^SSH PRIVATE KEY FILE FORMAT 1/,
    'the private key is of the long broken SSH protocol 1: make a new one with ssh-keygen -t ed25519',
  ],
  [
    /^-----BEGIN ([A-Z0-9 ]*PUBLIC KEY|CERTIFICATE)-----|^---- BEGIN SSH2 PUBLIC KEY ----/,
    'this is a public key or certificate where a private key is needed',
  ],
  [
    /^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ /,
    'this is a public key where a private key is needed: use the file without .pub',
  ],
  [/^\0/, 'this is not a private key: the file is binary'],
];
