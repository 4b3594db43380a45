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
  const surveys = new Surveys<Snapshot>();
  const asked: [string, number][] = [];
  const workers = ['a', 'bb', 'ccc'].map(id => ({ id, ask: (survey: number) => void asked.push([id, survey]) }));
  const [one, two] = [surveys.take(workers), surveys.take(workers.slice(0, 1))];
  assert.is(asked.length, 4);
  const [[, first], , , [, second]] = asked;
  surveys.hear('bb', second, part('bb'));
  surveys.hear('a', second, part('a'));
  assert.equal(await two, new Map([['a', part('a')]]));
  surveys.hear('a', first, part('a'));
  surveys.hear('a', first, part('aaaa'));
  surveys.gone('ccc');
  surveys.hear('bb', first, part('bb'));
  assert.equal([...(await one).keys()], ['a', 'bb']);
  const all = together([...(await one).values()]);
  assert.equal(all, { ...part('a'), clients: [{ id: 'a' }, { id: 'bb' }], circuits: [{ id: 1 }, { id: 2 }] });
  surveys.hear('ccc', first, part('ccc'));
  assert.equal(together([...(await surveys.take([])).values()]), { clients: [], lines: [], circuits: [] });
});

test('a worker that hangs is left out', async () => {
  const surveys = new Surveys<Snapshot>();
  const taken = surveys.take([
    { id: 'a', ask: survey => surveys.hear('a', survey, part('a')) },
    { id: 'b', ask() {} },
  ]);
  assert.equal([...(await taken).keys()], ['a']);
});

test.run();
