// Reads TypeScript as far as the architecture test needs it: code without comments and the contents of strings, and the imports of a module.

export interface Import {
  /** As written: './a.ts', 'node:net', '@noble/hashes/sha2.js'; undefined where it is computed. */
  readonly specifier: string | undefined;
  /** Names that are imported or passed on as values; '*' for all of them, 'default' for the default. Empty for a bare `import 'x'`. */
  readonly values: readonly string[];
  /** Names that are types only. */
  readonly types: readonly string[];
  /** `import 'x'`, `import(…)`, `export *` and everything with a value name: the module is loaded. */
  readonly loads: boolean;
  /** Counted from 1. */
  readonly line: number;
}

/** After these a slash begins a regular expression, after anything else it divides. */
const BEFORE_REGEX =
  /(?:^|[(,=:[!&|?{};+\-*%~^<>])\s*$|\b(?:return|typeof|case|of|in|do|else|yield|await|void|delete)\s*$/;

/**
 * The source with comments, the text of strings and templates, and regular expressions replaced by blanks of equal length: what is left is
 * code, at its place. Expressions inside templates stay.
 */
export function codeOf(source: string): string {
  const out =
    [...source].length === source.length
      ? source.split('')
      : Array.from({ length: source.length }, (_, i) => source[i]);
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  /** The end of a template's text that begins at `at`: behind "`", or behind "${". */
  const templateText = (at: number): number => {
    let end = at;
    while (end < source.length && source[end] !== '`' && !source.startsWith('${', end))
      end += source[end] === '\\' ? 2 : 1;
    blank(at, end);
    if (source[end] === '`') return end + 1;
    templates.push(depth++);
    return end + 2;
  };
  for (let at = 0; at < source.length; ) {
    const char = source[at];
    if (source.startsWith('//', at)) {
      const end = source.indexOf('\n', at);
      blank(at, end < 0 ? source.length : end);
      at = end < 0 ? source.length : end;
    } else if (source.startsWith('/*', at)) {
      const end = source.indexOf('*/', at + 2);
      blank(at, end < 0 ? source.length : end + 2);
      at = end < 0 ? source.length : end + 2;
    } else if (char === "'" || char === '"') {
      let end = at + 1;
      while (end < source.length && source[end] !== char) end += source[end] === '\\' ? 2 : 1;
      blank(at + 1, end);
      at = end + 1;
    } else if (char === '`') {
      at = templateText(at + 1);
    } else if (char === '{') {
      depth++;
      at++;
    } else if (char === '}') {
      depth--;
      at++;
      if (templates.at(-1) === depth) {
        templates.pop();
        at = templateText(at);
      }
    } else if (char === '/' && BEFORE_REGEX.test(out.slice(Math.max(0, at - 40), at).join(''))) {
      let end = at + 1;
      for (
        let inClass = false;
        end < source.length && (inClass || source[end] !== '/') && source[end] !== '\n';
        end++
      ) {
        if (source[end] === '\\') end++;
        else if (source[end] === '[') inClass = true;
        else if (source[end] === ']') inClass = false;
      }
      blank(at + 1, end);
      at = end + 1;
    } else {
      at++;
    }
  }
  return out.join('');
}

export const lineAt = (text: string, at: number): number => text.slice(0, at).split('\n').length;

/** The string literal that begins at or behind `at`. */
function literal(source: string, code: string, at: number): string {
  const open = code.slice(at).search(/['"]/) + at;
  return source.slice(open + 1, code.indexOf(code[open], open + 1));
}

/** Everything that a module imports, passes on from another, or loads later. */
export function importsOf(source: string): Import[] {
  const code = codeOf(source);
  const found: Import[] = [];
  // Statements with a clause: import … from '', export … from ''.
  for (const match of code.matchAll(/(?<![.\w$])(import|export)\s+(type\s+)?([\w$*{][^;'"()]*?)\sfrom\s*['"]/g)) {
    const [whole, , onlyTypes, clause] = match;
    const specifier = literal(source, code, match.index + whole.length - 1);
    const values: string[] = [];
    const types: string[] = [];
    const [outside, inside = ''] = clause.split(/[{}]/);
    for (const name of outside.split(',').map(part => part.trim())) {
      if (name !== '') (onlyTypes ? types : values).push(name.startsWith('*') ? '*' : 'default');
    }
    for (const part of inside.split(',').map(part => part.trim())) {
      if (part === '') continue;
      const [, type, name] = /^(type\s+)?([\w$]+)/.exec(part)!;
      (onlyTypes || type ? types : values).push(name);
    }
    found.push({ specifier, values, types, loads: values.length > 0, line: lineAt(code, match.index) });
  }
  for (const match of code.matchAll(/(?<![.\w$])import\s*['"]/g)) {
    const specifier = literal(source, code, match.index + match[0].length - 1);
    found.push({ specifier, values: [], types: [], loads: true, line: lineAt(code, match.index) });
  }
  for (const match of code.matchAll(/(?<![.\w$])(?:import|require)\s*\(\s*(['"]?)/g)) {
    const specifier = match[1] === '' ? undefined : literal(source, code, match.index + match[0].length - 1);
    found.push({ specifier, values: ['*'], types: [], loads: true, line: lineAt(code, match.index) });
  }
  return found.sort((a, b) => a.line - b.line);
}

/** Names that a module exports under its own `export`, without those of `export *`. */
export function exportsOf(source: string): string[] {
  const code = codeOf(source);
  const names: string[] = [];
  for (const [, name] of code.matchAll(
    /(?<![.\w$])export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:const|let|function\*?|class|interface|type|enum)\s+([\w$]+)/g,
  )) {
    names.push(name);
  }
  for (const [, list] of code.matchAll(/(?<![.\w$])export\s+(?:type\s+)?\{([^}]*)\}/g)) {
    for (const part of list.split(',')) {
      const name = /([\w$]+)\s*$/.exec(part.trim())?.[1];
      if (name !== undefined) names.push(name);
    }
  }
  return names;
}
