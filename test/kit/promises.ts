// Promises that nobody waits for and nobody catches, and callbacks whose promises are lost: read with the TypeScript compiler.
import { join, relative } from 'node:path';
import {
  type ArrowFunction,
  type AssignmentOperator,
  type BinaryExpression,
  type CallExpression,
  type ConditionalExpression,
  type Expression,
  type ExpressionStatement,
  type Node,
  type ParenthesizedExpression,
  type PropertyAccessExpression,
  type SourceFile,
  SyntaxKind,
  type VoidExpression,
} from 'typescript/unstable/ast';
import { API, type Checker, SignatureKind, type Type } from 'typescript/unstable/sync';

/**
 * Each place under `folder` where a promise that is rejected ends the program, as "file:line: what":
 * a promise that is a statement, or behind `void`, or put away in a variable by a statement, without `.catch(…)` or a
 * `.then(…, …)` with both functions; and a function that returns a promise where the caller expects none (timers, events, `forEach`).
 */
export function unhandled(root: string, folder: string): string[] {
  const api = new API({ cwd: root });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, 'tsconfig.json')] }).getProjects();
    const { checker, program } = project;
    const inside = program.getSourceFileNames().filter(name => name.startsWith(`${join(root, folder)}/`));
    return inside.sort().flatMap(name => {
      const file = program.getSourceFile(name)!;
      const line = (node: Node) => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
      return [...lost(file, checker)].map(
        ([node, what]) => `${relative(root, name)}:${line(node)}: ${what}: ${firstLine(node.getText(file))}`,
      );
    });
  } finally {
    api.close();
  }
}

const firstLine = (text: string): string => text.split('\n', 1)[0].slice(0, 100);

function* lost(file: SourceFile, checker: Checker): Generator<[Node, string]> {
  const dropped: Expression[] = [];
  const handed: Expression[] = [];
  const visit = (node: Node): void => {
    if (node.kind === SyntaxKind.ExpressionStatement) dropped.push(...ends((node as ExpressionStatement).expression));
    else if (node.kind === SyntaxKind.VoidExpression) dropped.push(...ends((node as VoidExpression).expression));
    if (canBeCallback(node)) handed.push(node as Expression);
    node.forEachChild(visit);
  };
  file.forEachChild(visit);
  const types = checker.getTypeAtLocation([...dropped, ...handed]);
  const isPromise = (type: Type | undefined) => type !== undefined && couldBe(type, one => isThenable(one, checker));
  for (const [i, node] of dropped.entries()) if (isPromise(types[i])) yield [node, 'nobody catches this promise'];
  for (const [i, node] of handed.entries()) {
    const type = types[dropped.length + i];
    if (type === undefined || !returns(type, checker, isPromise)) continue;
    const wanted = checker.getContextualType(node);
    if (wanted === undefined || !returns(wanted, checker, one => one !== undefined)) continue;
    if (returns(wanted, checker, one => isPromise(one) || isOpen(one, checker))) continue;
    // What an arrow function returns may be caught already.
    if (node.kind === SyntaxKind.ArrowFunction && isCaught(body(node as ArrowFunction))) continue;
    yield [node, 'the caller drops the promise that this returns'];
  }
}

/** What the value of an expression statement may be. Promises that are caught are left out. */
function ends(node: Expression): Expression[] {
  switch (node.kind) {
    case SyntaxKind.ParenthesizedExpression:
      return ends((node as ParenthesizedExpression).expression);
    case SyntaxKind.ConditionalExpression: {
      const { whenTrue, whenFalse } = node as ConditionalExpression;
      return [...ends(whenTrue), ...ends(whenFalse)];
    }
    case SyntaxKind.BinaryExpression: {
      const { operatorToken, left, right } = node as BinaryExpression;
      switch (operatorToken.kind) {
        case SyntaxKind.BarBarToken:
        case SyntaxKind.QuestionQuestionToken:
        case SyntaxKind.CommaToken:
          return [...ends(left), ...ends(right)];
        case SyntaxKind.AmpersandAmpersandToken:
          return ends(right);
      }
      // A promise that is only put away: if it fails before anybody waits for it, nobody has caught it.
      return isAssignment(operatorToken.kind) && right.kind === SyntaxKind.CallExpression ? ends(right) : [];
    }
    case SyntaxKind.AwaitExpression:
    case SyntaxKind.VoidExpression:
    case SyntaxKind.YieldExpression:
      return [];
  }
  return isCaught(node) ? [] : [node];
}

const isAssignment = (kind: SyntaxKind): kind is AssignmentOperator =>
  kind >= SyntaxKind.FirstAssignment && kind <= SyntaxKind.LastAssignment;

/** `….catch(f)` or `….then(f, g)`. */
function isCaught(node: Node): boolean {
  if (node.kind !== SyntaxKind.CallExpression) return false;
  const { expression, arguments: given } = node as CallExpression;
  if (expression.kind !== SyntaxKind.PropertyAccessExpression) return false;
  const { text } = (expression as PropertyAccessExpression).name;
  return (text === 'catch' && given.length === 1) || (text === 'then' && given.length === 2);
}

const body = (node: ArrowFunction): Node =>
  node.body.kind === SyntaxKind.ParenthesizedExpression ? (node.body as ParenthesizedExpression).expression : node.body;

/** Functions as they are written down, and names of functions that are handed over. */
function canBeCallback(node: Node): boolean {
  switch (node.kind) {
    case SyntaxKind.ArrowFunction:
    case SyntaxKind.FunctionExpression:
      return true;
    case SyntaxKind.Identifier:
    case SyntaxKind.PropertyAccessExpression: {
      const { parent } = node;
      return (
        parent.kind === SyntaxKind.CallExpression && (parent as CallExpression).arguments.includes(node as Expression)
      );
    }
  }
  return false;
}

const couldBe = (type: Type, is: (type: Type) => boolean): boolean =>
  type.isUnionType() ? type.getTypes().some(one => couldBe(one, is)) : is(type);

const isThenable = (type: Type, checker: Checker): boolean => checker.getPropertyOfType(type, 'then') !== undefined;

/** Whoever expects anything at all, or something of a kind that is not settled, may well wait for it. */
const isOpen = (type: Type | undefined, checker: Checker): boolean =>
  type === undefined || !couldBe(type, one => one === checker.getVoidType() || one === checker.getUndefinedType());

function returns(type: Type, checker: Checker, wanted: (type: Type | undefined) => boolean): boolean {
  return couldBe(type, one =>
    checker
      .getSignaturesOfType(one, SignatureKind.Call)
      .some(signature => wanted(checker.getReturnTypeOfSignature(signature))),
  );
}
