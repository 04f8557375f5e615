import type { ReactNode } from 'react'
import { BrowserRouter, Navigate, Route, Routes } from 'react-router'

import { useSession } from '@/hooks/useSession'
import Auth from '@/pages/Auth'
import Index from '@/pages/Index'

const Protected = ({ children }: { children: ReactNode }) => {
  const { session, loading } = useSession()
  if (loading) return null
  return session ? children : <Navigate to="/auth" replace />
}

const App = () => (
  <BrowserRouter>
    <Routes>
      <Route path="/auth" element={<Auth />} />
      <Route path="*" element={<Protected><Index /></Protected>} />
    </Routes>
  </BrowserRouter>
)

export default App
