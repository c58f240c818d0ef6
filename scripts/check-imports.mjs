#!/usr/bin/env node
// @ts-check
/**
 * Checks what neither tsc nor Biome can say about the sources, with file:line for each finding; exit code 1 if there is any.
 *
 * - imports point down only (the table `below`), and `protocol` touches no file system;
 * - no BigInt in the folders on the request path;
 * - native, layer, union, session: no call's numeric result is dropped, except through `ignore(result, why)`;
 * - cli, build, store, assemble: an exception thrown in a catch clause names the caught one as its cause.
 *
 * `checkSources(root)` returns the findings, for the unit test.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/**
 * Which areas each area may import; a file may always import its own area.
 * @type {Record<string, string[]>}
 */
const below = {
  main: ["entry", "bundle"],
  bundle: [],
  entry: ["cli", "errno"],
  "mount-entry": ["cli"],
  cli: ["build", "assemble", "snapshotter", "session", "store", "union", "layer", "native", "errno"],
  build: ["assemble", "store", "layer", "native", "errno"],
  assemble: ["store", "layer", "native", "errno"],
  snapshotter: ["store", "native", "errno"],
  session: ["protocol", "union/ops", "union", "layer", "native", "errno"],
  store: ["layer", "native", "errno"],
  protocol: ["errno"],
  "union/ops": ["union", "layer", "native", "errno"],
  union: ["layer", "native", "errno"],
  layer: ["native", "errno"],
  native: ["errno"],
  errno: [],
  text: [],
};

/** Areas that anybody may import: they import nothing themselves. */
const everywhere = new Set(["text"]);

/** Imports that cross the table: pure data types that are nobody's in particular. From area → files of other areas. */
const exceptions = new Map([["protocol", new Set(["src/layer/stat.ts"])]]);

/** The Node modules `protocol` may use: none that reaches beyond memory. */
const pureModules = new Set(["node:buffer", "node:util"]);

/** Files on the request path that may use BigInt all the same, with the reason beside each. */
const bigintAllowed = new Set(/** @type {string[]} */ ([]));

const bigintAreas = new Set(["native", "layer", "union", "union/ops", "protocol", "session"]);
const numericAreas = new Set(["native", "layer", "union", "union/ops", "session"]);
const throwingAreas = new Set(["cli", "store", "assemble", "build"]);
const bigintNames = /^(BigInt|BigInt64Array|BigUint64Array|(get|set|read|write)Big.*|asIntN|asUintN)$/;

/** @typedef {{ file: string, line: number, message: string }} Finding */

/**
 * The area of a source file, given relative to the root of the project: `src/union/ops/x.ts` → `union/ops`.
 * @param {string} file
 */
function areaOf(file) {
  const parts = file.split(sep).slice(1);
  if (parts.length === 1) return /** @type {string} */ (parts[0]).replace(/(\.test)?\.ts$/, "");
  return parts[0] === "union" && parts[1] === "ops" && parts.length > 2
    ? "union/ops"
    : /** @type {string} */ (parts[0]);
}

/** @param {string} file */
function isTest(file) {
  return /(\.test|\/testing)\.ts$/.test(file);
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function sourcesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name));
}

/**
 * The expressions whose value a statement drops: `a && f()` drops f's, `void f()` too.
 * @param {ts.Expression} expression
 * @returns {ts.Expression[]}
 */
function dropped(expression) {
  if (ts.isParenthesizedExpression(expression) || ts.isVoidExpression(expression) || ts.isNonNullExpression(expression))
    return dropped(expression.expression);
  if (ts.isAwaitExpression(expression)) return [expression, ...dropped(expression.expression)];
  if (ts.isConditionalExpression(expression))
    return [...dropped(expression.whenTrue), ...dropped(expression.whenFalse)];
  if (ts.isBinaryExpression(expression)) {
    const operator = expression.operatorToken.kind;
    if (operator === ts.SyntaxKind.CommaToken) return [...dropped(expression.left), ...dropped(expression.right)];
    if (
      operator === ts.SyntaxKind.AmpersandAmpersandToken ||
      operator === ts.SyntaxKind.BarBarToken ||
      operator === ts.SyntaxKind.QuestionQuestionToken
    )
      return dropped(expression.right);
  }
  return [expression];
}

/**
 * Whether a value of this type may be a number.
 * @param {ts.Type} type
 * @returns {boolean}
 */
function isNumeric(type) {
  if (type.isUnion()) return type.types.some(isNumeric);
  return (type.flags & ts.TypeFlags.NumberLike) !== 0;
}

/**
 * Whether a throw statement's `new X(…)` carries `cause`, as a property of an object or as an argument of that name.
 * @param {ts.Expression} thrown
 */
function namesCause(thrown) {
  if (!ts.isNewExpression(thrown)) return true;
  return (thrown.arguments ?? []).some(
    (argument) =>
      (ts.isIdentifier(argument) && argument.text === "cause") ||
      (ts.isObjectLiteralExpression(argument) &&
        argument.properties.some((property) => property.name !== undefined && property.name.getText() === "cause")),
  );
}

/**
 * @param {string} root the folder that holds src/
 * @param {string[]} [files] absolute paths; default: every source below src/
 * @returns {Finding[]}
 */
export function checkSources(root, files = sourcesIn(join(root, "src"))) {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  /** @type {Finding[]} */
  const findings = [];

  for (const path of files) {
    const source = program.getSourceFile(path);
    if (source === undefined) continue;
    const file = relative(root, path);
    const area = areaOf(file);
    const test = isTest(file);

    /** @param {ts.Node} node @param {string} message */
    const report = (node, message) => {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      findings.push({ file, line: line + 1, message });
    };

    /** @param {ts.Node} node @param {string} specifier */
    const checkImport = (node, specifier) => {
      const allowed = below[area];
      if (allowed === undefined) {
        report(node, `the folder of this file is unknown to the import table: ${area}`);
      } else if (!specifier.startsWith(".")) {
        if (area === "protocol" && !test && specifier.startsWith("node:") && !pureModules.has(specifier))
          report(node, `protocol is bytes only: it must not import ${specifier}`);
      } else {
        const target = relative(root, resolve(dirname(path), specifier)).replace(/\.js$/, ".ts");
        const wanted = areaOf(target);
        if (!target.startsWith(`src${sep}`)) report(node, `imports ${specifier}, outside of src/`);
        else if (
          wanted !== area &&
          !everywhere.has(wanted) &&
          !allowed.includes(wanted) &&
          !exceptions.get(area)?.has(target) &&
          !test
        )
          report(node, `${area} must not import ${wanted} (${specifier}): imports point down only`);
      }
    };

    /** @param {ts.Expression} expression */
    const checkDropped = (expression) => {
      for (const value of dropped(expression)) {
        if (!ts.isCallExpression(value)) continue;
        const declaration = checker.getResolvedSignature(value)?.getDeclaration();
        const declared = declaration?.getSourceFile().fileName;
        // push(), Buffer.write() and the like return numbers nobody needs: only the project's own functions count.
        if (declared === undefined || !relative(root, declared).startsWith(`src${sep}`)) continue;
        if (isNumeric(checker.getTypeAtLocation(value)))
          report(value, `the result of ${value.expression.getText(source)}() is dropped: bind it or use ignore(…)`);
      }
    };

    /** @param {ts.Node} node @param {boolean} inCatch */
    const visit = (node, inCatch) => {
      if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
        if (ts.isStringLiteral(node.moduleSpecifier)) checkImport(node, node.moduleSpecifier.text);
      } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [specifier] = node.arguments;
        if (specifier !== undefined && ts.isStringLiteral(specifier)) checkImport(node, specifier.text);
      }

      if (!test && bigintAreas.has(area) && !bigintAllowed.has(file)) {
        if (
          ts.isBigIntLiteral(node) ||
          node.kind === ts.SyntaxKind.BigIntKeyword ||
          (ts.isIdentifier(node) && bigintNames.test(node.text))
        )
          report(node, "BigInt on the request path: use numbers or pairs of 32-bit words");
      }

      if (!test && numericAreas.has(area)) {
        if (ts.isExpressionStatement(node)) checkDropped(node.expression);
        else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
          const context = checker.getContextualType(node)?.getCallSignatures()[0];
          if (context !== undefined && (context.getReturnType().flags & ts.TypeFlags.Void) !== 0)
            checkDropped(node.body);
        }
      }

      if (throwingAreas.has(area) && inCatch && ts.isThrowStatement(node) && !namesCause(node.expression))
        report(node, "an exception thrown in a catch clause must name its { cause }");

      const insideCatch = ts.isCatchClause(node) || (inCatch && !ts.isFunctionLike(node));
      ts.forEachChild(node, (child) => visit(child, insideCatch));
    };
    visit(source, false);
  }
  return findings;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const findings = checkSources(root);
  for (const { file, line, message } of findings) console.error(`${file}:${line}: ${message}`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}
