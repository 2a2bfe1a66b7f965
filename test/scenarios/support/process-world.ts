import { pino } from 'pino';
import { readConfig } from '../../../src/config.ts';
import { type Controller, type ControllerOptions, startController } from '../../../src/controller.ts';
import { tempFolder } from '../../support/temp-store.ts';
import { type Api, api } from './process-api.ts';
import { presetToken } from './process-child.ts';

export interface World {
  readonly controller: Controller;
  readonly admin: Api;
  close(): Promise<void>;
}

/** The controller in this process, with everything on: real store in a folder of its own, real sockets. */
export async function aWorld(
  about: Partial<ControllerOptions> & { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<World> {
  const folder = tempFolder();
  const { env = {}, ...options } = about;
  const controller = await startController({
    config: readConfig({
      TIDEGATE_PORT: '0',
      TIDEGATE_DATA_DIR: folder.path,
      TIDEGATE_ADMIN_TOKEN: presetToken,
      TIDEGATE_PUBLIC_EVALUATION: 'true',
      TIDEGATE_TRUSTED_PROXIES: '127.0.0.1',
      ...env,
    }),
    log: pino({ level: 'error' }, pino.destination(2)),
    beatMs: 20,
    ...options,
  });
  return {
    controller,
    admin: api(controller.url, presetToken),
    async close() {
      await controller.close();
      folder.remove();
    },
  };
}
