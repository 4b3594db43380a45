// What a module exports without saying what it is: read with the TypeScript compiler, so that re-exports and inheritance count as they do for a user.
import { join, relative } from 'node:path';
import type { ClassDeclaration, InterfaceDeclaration } from 'typescript/unstable/ast';
import { API, type Checker, type Project, type Symbol as Sym, SymbolFlags } from 'typescript/unstable/sync';

/** Exported symbols, and public members of exported classes and shapes, that have no doc comment: "file:line: Name.member", sorted. */
export function undocumented(root: string, modules: readonly string[]): string[] {
  const api = new API({ cwd: root });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, 'tsconfig.json')] }).getProjects();
    const found = new Set(modules.flatMap(path => [...lacking(project, root, path)]));
    return [...found].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  } finally {
    api.close();
  }
}

function* lacking({ checker, program }: Project, root: string, path: string): Generator<string> {
  const file = program.getSourceFile(join(root, path));
  const module = file && checker.getSymbolAtLocation(file);
  if (!module) throw new Error(`${path} is no module of the project`);
  for (const name of checker.getExportsOfModule(module)) {
    const symbol = name.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
    if (!says(symbol, checker)) yield `${place(symbol, root)}: ${symbol.name}`;
    for (const member of members(symbol, checker)) {
      if (!says(member, checker)) yield `${place(member, root)}: ${symbol.name}.${member.name}`;
    }
  }
}

const says = (symbol: Sym, checker: Checker): boolean => symbol.getDocumentationComment(checker).trim() !== '';

function place(symbol: Sym, root: string): string {
  const node = symbol.declarations[0].resolve()!;
  const file = node.getSourceFile();
  return `${relative(root, file.fileName)}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

/** What a class, an interface or `type X = { … }` shows of its own: what it inherits, overrides or implements is described elsewhere. */
function members(symbol: Sym, checker: Checker): Sym[] {
  const shape = symbol.flags & SymbolFlags.TypeAlias ? checker.getDeclaredTypeOfSymbol(symbol).getSymbol() : symbol;
  if (!shape || !(shape.flags & (SymbolFlags.Class | SymbolFlags.Interface | SymbolFlags.TypeLiteral))) return [];
  const described = ancestry(shape, checker);
  const statics = shape.flags & SymbolFlags.Class ? shape.getExports().values() : [];
  return [...shape.getMembers().values(), ...statics].filter(
    ({ flags, name }) =>
      flags & (SymbolFlags.Property | SymbolFlags.Method | SymbolFlags.Accessor) &&
      !(flags & SymbolFlags.Prototype) &&
      !name.startsWith('__#') && // a private name, as the compiler writes it
      !described.has(name),
  );
}

/** The names of all members of what it extends and implements. */
function ancestry(symbol: Sym, checker: Checker): Set<string> {
  const names = new Set<string>();
  for (const declaration of symbol.declarations) {
    const { heritageClauses = [] } = declaration.resolve() as ClassDeclaration | InterfaceDeclaration;
    for (const node of heritageClauses.flatMap(clause => [...clause.types])) {
      const type = checker.getTypeAtLocation(node);
      for (const { name } of type ? checker.getPropertiesOfType(type) : []) names.add(name);
    }
  }
  return names;
}
