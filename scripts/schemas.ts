/** Writes schema/*.schema.json from zod: `node --conditions=tidegate:source --import tsx scripts/schemas.ts`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { RolloutPlan } from '../src/domain/plan.ts';
import { GatePolicy } from '../src/domain/policy.ts';
import { Signal } from '../src/domain/signal.ts';
import { FaultStory } from '../src/lab/story.ts';

const documents = {
  'rollout-plan': RolloutPlan,
  'gate-policy': GatePolicy,
  signal: Signal,
  'fault-story': FaultStory,
} as const;

/** File name -> text: JSON Schema of what people write. */
export function schemaFiles(): Map<string, string> {
  return new Map(
    Object.entries(documents).map(([name, schema]) => {
      const whole = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
      const json = name === 'gate-policy' ? withChild(whole) : whole;
      return [`${name}.schema.json`, `${JSON.stringify(json, null, 2)}\n`];
    }),
  );
}

type JsonSchema = { readonly [key: string]: unknown };

/** A policy that extends another may leave out anything but its own name, version and owner, and the names of gates. */
function withChild({ $schema, ...whole }: JsonSchema): JsonSchema {
  const of = (schema: unknown, key: string): JsonSchema => {
    const found = isSchema(schema) ? schema[key] : undefined;
    if (!isSchema(found)) throw new Error(`the schema of a policy has no ${key}`);
    return found;
  };
  const properties = of(whole, 'properties');
  const metadata = of(properties, 'metadata');
  const { required: _, ...spec } = of(properties, 'spec');
  const gates = of(spec.properties, 'gates');
  const { minItems: __, ...someGates } = gates;
  const partial = { ...someGates, items: { ...of(gates, 'items'), required: ['name'] } };
  const child = {
    ...whole,
    properties: {
      ...properties,
      metadata: { ...metadata, required: ['name', 'version', 'owner', 'extends'] },
      spec: { ...spec, properties: { ...of(spec, 'properties'), gates: partial } },
    },
    required: ['apiVersion', 'kind', 'metadata'],
  };
  const alone = { ...metadata, properties: { ...of(metadata, 'properties'), extends: false } };
  return { $schema, anyOf: [{ ...whole, properties: { ...properties, metadata: alone } }, child] };
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL('../schema/', import.meta.url);
  await mkdir(folder, { recursive: true });
  for (const [name, text] of schemaFiles()) await writeFile(new URL(name, folder), text);
}
