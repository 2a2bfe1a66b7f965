/** Writes schema/*.schema.json from zod: `node --conditions=tidegate:source --import tsx scripts/schemas.ts`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { RolloutPlan } from '../src/domain/plan.ts';
import { GatePolicy } from '../src/domain/policy.ts';
import { Signal } from '../src/domain/signal.ts';

const documents = { 'rollout-plan': RolloutPlan, 'gate-policy': GatePolicy, signal: Signal } as const;

/** File name -> text: JSON Schema of what people write. */
export function schemaFiles(): Map<string, string> {
  return new Map(
    Object.entries(documents).map(([name, schema]) => {
      const json = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
      return [`${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`];
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL('../schema/', import.meta.url);
  await mkdir(folder, { recursive: true });
  for (const [name, text] of schemaFiles()) await writeFile(new URL(name, folder), text);
}
