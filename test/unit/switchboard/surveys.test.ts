// What there is in all workers: put together of what they answer, without those that die or hang.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CircuitInfo, ClientInfo, LineInfo, Snapshot } from '../../../src/apps/switchboard/events.ts';
import { Surveys, together } from '../../../src/apps/switchboard/surveys.ts';

const part = (name: string): Snapshot => ({
  clients: [{ id: name } as ClientInfo],
  lines: [{ line: '80' } as LineInfo],
  circuits: [{ id: name.length } as CircuitInfo],
});

test('clients and circuits of all, lines once; who dies is not waited for, and answers count once', async () => {
  const surveys = new Surveys();
  const asked: [string, number][] = [];
  const workers = ['a', 'bb', 'ccc'].map(id => ({ id, ask: (survey: number) => void asked.push([id, survey]) }));
  const [one, two] = [surveys.take(workers), surveys.take(workers.slice(0, 1))];
  assert.is(asked.length, 4);
  const [[, first], , , [, second]] = asked;
  surveys.hear('bb', second, part('bb'));
  surveys.hear('a', second, part('a'));
  assert.equal(await two, part('a'));
  surveys.hear('a', first, part('a'));
  surveys.hear('a', first, part('aaaa'));
  surveys.gone('ccc');
  surveys.hear('bb', first, part('bb'));
  assert.equal(await one, together([part('a'), part('bb')]));
  assert.equal((await one).lines, [{ line: '80' }]);
  surveys.hear('ccc', first, part('ccc'));
  assert.equal(await surveys.take([]), { clients: [], lines: [], circuits: [] });
});

test('a worker that hangs is left out', async () => {
  const surveys = new Surveys();
  const taken = surveys.take([
    { id: 'a', ask: survey => surveys.hear('a', survey, part('a')) },
    { id: 'b', ask() {} },
  ]);
  assert.equal(await taken, part('a'));
});

test.run();
