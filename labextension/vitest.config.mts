import { defineConfig } from 'vitest/config';

// Logic without a page. What needs one is tested in a real JupyterLab (tests/lab).
export default defineConfig({
  test: {
    environment: 'node',
    include: ['src/**/*.test.{ts,tsx}', 'tests/**/*.test.{ts,tsx}']
  }
});
