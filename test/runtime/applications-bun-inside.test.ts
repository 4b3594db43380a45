// The applications' lists on Bun: what imports it.
import { runApplications } from './applications.ts';

runApplications('bun', 'inside');
