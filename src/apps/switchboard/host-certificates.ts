// Certificates of host keys: they lie beside the keys, where ssh-keygen puts them, and are shown to whoever knows their authority.
import { certifiedKey, parseCertificateLine } from '../../crypto/keys/index.ts';
import type { PrivateKey } from '../../crypto/provider.ts';
import { equalBytes, KeyFormatError } from '../../protocol/index.ts';
import { readIfThere, StateError } from './state.ts';

/** The lines of those that there are for host keys in these files. @throws StateError if one cannot be used */
export function hostCertificates(files: readonly string[], keys: readonly PrivateKey[]): string[] {
  return files.flatMap((file, i) => {
    const name = `${file}-cert.pub`;
    const line = readIfThere(name)?.trim();
    if (line === undefined) return [];
    const problem = problemOf(line, keys[i]);
    if (problem !== undefined) throw new StateError(`the host certificate ${name} cannot be used: ${problem}`);
    return [line];
  });
}

function problemOf(line: string, { blob }: PrivateKey): string | undefined {
  try {
    const { kind, key } = parseCertificateLine(line);
    if (kind !== 'host') return `it is for a ${kind}`;
    return equalBytes(key.blob, blob) ? undefined : 'it is for another key';
  } catch (error) {
    if (error instanceof KeyFormatError) return error.message;
    throw error;
  }
}

/** Host keys as a server has them: those with certificates, then all without. */
export function certified(keys: readonly PrivateKey[], lines: readonly string[]): PrivateKey[] {
  const certificates = lines.map(line => parseCertificateLine(line));
  const pairs = certificates.flatMap(one => {
    const key = keys.find(({ blob }) => equalBytes(blob, one.key.blob));
    return key === undefined ? [] : certifiedKey(key, one);
  });
  return [...pairs, ...keys];
}
