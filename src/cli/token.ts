import { type Command, Option } from 'commander';
import { roles } from '../domain/permissions.ts';
import type { TokenRecord } from '../store/store.ts';
import { connect } from './client.ts';
import { type CommonOptions, command, durationOption, print } from './command.ts';
import { formatInstant, table } from './format.ts';
import type { Io } from './io.ts';

const dayMs = 86_400_000;

type ShownToken = Omit<TokenRecord, 'secretHash'>;

interface CreateOptions extends CommonOptions {
  readonly role: TokenRecord['role'];
  readonly subject: string;
  readonly expiresIn?: number;
  readonly allEnvironments?: true;
}

export function token(program: Command, io: Io): void {
  const group = program.command('token').description('bearer tokens of people, services and applications');
  command(group, 'create', 'make a token; it is shown once', 'token create --role ci --subject github-actions')
    .addOption(new Option('--role <role>', 'what it may do').choices(roles).makeOptionMandatory())
    .requiredOption('--subject <name>', 'person or service; duties are separated by subject')
    .option('--expires-in <duration>', 'for example 90d, in whole days', durationOption)
    .option('--all-environments', 'not bound to one environment')
    .action(async (options: CreateOptions) => {
      const { role, subject, expiresIn } = options;
      const body = {
        role,
        subject,
        ...(options.allEnvironments ? {} : { environment: options.environment }),
        ...(expiresIn === undefined ? {} : { expiresInDays: Math.max(1, Math.ceil(expiresIn / dayMs)) }),
      };
      const client = await connect(io);
      const made = await client.send<{ token: string; record: ShownToken }>('POST', '/api/v1/tokens', { body });
      // Only the secret goes to stdout, so that a script can store it.
      if (!options.json) io.stderr(`${describeToken(made.record)}\nshown once, keep it safe:\n`);
      print(io, options, made, () => made.token);
    });
  command(group, 'list', 'tokens without their secrets', 'token list').action(async (options: CommonOptions) => {
    const answer = await (await connect(io)).get<{ tokens: readonly ShownToken[] }>('/api/v1/tokens');
    print(io, options, answer, () => table([header, ...answer.tokens.map(tokenRow)]));
  });
  command(group, 'revoke <id>', 'end a token at once', 'token revoke 4fKx02bQ').action(
    async (id: string, options: CommonOptions) => {
      const client = await connect(io);
      const answer = await client.send('DELETE', `/api/v1/tokens/${encodeURIComponent(id)}`);
      print(io, options, answer, () => `token ${id} is revoked`);
    },
  );
}

const header = ['id', 'role', 'subject', 'environment', 'expires', 'state'] as const;

function tokenRow({ id, role, subject, environment, expiresAt, revokedAt }: ShownToken): string[] {
  const state = revokedAt === null ? 'valid' : `revoked ${formatInstant(revokedAt)}`;
  return [id, role, subject, environment ?? '(every)', formatInstant(expiresAt), state];
}

function describeToken({ id, role, subject, environment, expiresAt }: ShownToken): string {
  return `token ${id}: ${role} for ${subject} in ${environment ?? 'every environment'}, until ${formatInstant(expiresAt)}`;
}
