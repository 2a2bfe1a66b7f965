import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** What a shop's build makes of `entry`, as one minified module; `external` packages are left out. */
export async function bundle(entry: string, external: readonly string[] = []): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    resolve: { conditions: ['tidegate:source', 'browser', 'import', 'module', 'default'] },
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      lib: { entry: fileURLToPath(new URL(entry, import.meta.url)), formats: ['es'] },
      rollupOptions: { external: [...external] },
    },
  });
  const outputs = Array.isArray(result) ? result : [result];
  const chunks = outputs.flatMap((output) => ('output' in output ? output.output : []));
  const [chunk] = chunks.filter((part) => part.type === 'chunk');
  if (!chunk || chunks.length !== 1) throw new Error(`${entry} became ${chunks.length} files instead of one`);
  return chunk.code;
}
