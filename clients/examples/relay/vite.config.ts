import { defineConfig } from 'vite';
import relay from 'vite-plugin-relay-lite';

// biome-ignore lint/style/noDefaultExport: Vite reads its configuration from the default export.
export default defineConfig({ plugins: [relay({ cwd: import.meta.dirname })] });
