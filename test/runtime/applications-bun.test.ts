// The applications' lists on Bun.
import { runApplications } from './applications.ts';

runApplications('bun');
