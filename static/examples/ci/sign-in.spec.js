// Signs in without a click at TikTok: the simulated TikTok answers the next sign-in as it is told.

import { expect, test } from '@playwright/test'

const tiktok = process.env.TIKTOK_URL ?? 'http://127.0.0.1:8081'
const app = process.env.APP_URL ?? 'http://localhost:5173'

test.beforeEach(({ request }) => request.post(`${tiktok}/sim/reset`))

test('signs in', async ({ page, request }) => {
  await request.post(`${tiktok}/sim/next`, { data: { result: 'grant' } })
  await page.goto(app)
  await page.getByRole('button', { name: 'Continue with TikTok' }).click()
  await expect(page.getByText('Hello, Mira Sommer')).toBeVisible()
})

test('stays signed out if the person says no', async ({ page, request }) => {
  await request.post(`${tiktok}/sim/next`, { data: { result: 'deny' } })
  await page.goto(app)
  await page.getByRole('button', { name: 'Continue with TikTok' }).click()
  await expect(page.getByText('Sign-in cancelled.')).toBeVisible()
})
