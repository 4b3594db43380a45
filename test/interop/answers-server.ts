// A program: a server that lets everybody in and prints its port; a test measures its memory from outside.
import { accelerated } from '../../src/crypto/accelerated.ts';
import { Server } from '../../src/server/index.ts';

const key = accelerated.signatures.find(({ name }) => name === 'ssh-ed25519')!.generate(accelerated.random);
const server = new Server({
  provider: accelerated,
  hostKeys: [key],
  authenticators: [{ method: 'none', answer: () => ({ result: 'accept' }) }],
});
const { port } = await server.listen(0);
console.log(`port ${port} `);
