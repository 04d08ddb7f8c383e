import jupyter from '@jupyter/eslint-plugin';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib/', 'node_modules/', '*.mjs', 'src/wire.ts'] },
  ...tseslint.configs.recommended,
  { plugins: { jupyter } },
  ...jupyter.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    languageOptions: {
      parserOptions: { project: './tsconfig.check.json', tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      // A promise nobody waits for loses its error; say `void` where that is meant.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // A token and its interface share their name, as everywhere in JupyterLab.
      '@typescript-eslint/no-redeclare': 'off',
      // The one plugin starts with the page and needs all of it at once.
      'jupyter/prefer-lazy-imports': 'off',
      eqeqeq: ['error', 'always']
    }
  },
  // What a test makes goes with the test.
  { files: ['tests/**'], rules: { 'jupyter/require-disposable-ownership': 'off' } }
);
