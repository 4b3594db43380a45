// Signs a user's public key, as `ssh-keygen -s CA -I ID -n USER -V +8h ID.pub`: writes ID-cert.pub beside it.
// Run: npx tsx examples/certificate-issuer.ts [CA] [ID.pub] [USER] [HOURS]
import { readFile, writeFile } from 'node:fs/promises';
import { accelerated, parsePrivateKey, parsePublicKey } from 'cordboard';
import * as crypto from 'cordboard/crypto';

const [ca = 'ca', file = 'id_ed25519.pub', user = 'alice', hours = '8'] = process.argv.slice(2);
const authority = parsePrivateKey(await readFile(ca, 'utf8'));
const key = parsePublicKey(await readFile(file, 'utf8'));
const now = BigInt(Math.floor(Date.now() / 1000));

const request: crypto.CertificateRequest = {
  key,
  kind: 'user',
  keyId: `${user} ${key.comment}`.trim(),
  principals: [user],
  // A minute for clocks that go wrong.
  validAfter: now - 60n,
  validBefore: now + BigInt(hours) * 3600n,
  extensions: crypto.STANDARD_EXTENSIONS,
};
const certificate = crypto.parseCertificate(crypto.issueCertificate(request, authority, accelerated));
const out = file.replace(/(\.pub)?$/, '-cert.pub');
await writeFile(out, `${crypto.formatCertificate({ ...certificate, comment: key.comment })}\n`);
console.log(`${crypto.describeCertificate(certificate)} is in ${out}`);
